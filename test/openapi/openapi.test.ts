/**
 * The OpenAPI document, read by the tools of others: it is valid, generated clients compile and work, and schemathesis
 * finds no difference to the running system. `make openapi-check` sends more requests.
 */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { buildApiDocument } from '../../gateway/api-reference/api-document.ts'
import { buildRouteTable } from '../../gateway/contract/route-table.ts'
import { limitsSchema } from '../../gateway/edge/limits/limit-classes.ts'
import { buildContract } from '../support/contract.ts'
import { startSystem } from '../support/test-system.ts'
import { GO_RUNTIME, installTools, type Tools } from './tools.ts'

// Compilers and schemathesis take minutes on a busy machine.
t.setTimeout(1_800_000)

/** Whether to send many requests. */
const isFull = process.env['OPENAPI_CHECK'] === '1'
const CLIENTS = path.join(import.meta.dirname, 'clients')

const { url, administrator } = await startSystem(t)
const served = await (await fetch(`${url}/openapi.json`)).text()
const everyKind = JSON.stringify(documentOfEveryKind())
const [node, python, go] = [await installTools('node'), await installTools('python'), await installTools('go')]

/** Runs a test with a set of tools in a new folder, or skips it by name. */
function testWith(name: string, tools: Tools | string, run: (t: Test, tools: Tools) => Promise<void>): void {
  if (typeof tools === 'string') {
    t.test(name, { skip: tools }, () => {})
    return
  }
  t.test(name, async t => {
    const folder = await mkdtemp(path.join(tools.folder, 'run-'))
    t.teardown(() => rm(folder, { recursive: true }))
    await run(t, { ...tools, folder })
  })
}

/** Runs a program, and asserts that it succeeds. */
async function succeeds(t: Test, { folder, env }: Tools, program: string, ...args: string[]): Promise<string> {
  const { exitCode, all } = await execa(program, args, { cwd: folder, env, stdin: 'ignore', all: true, reject: false })
  t.equal(exitCode, 0, `${program} ${args[0]}`)
  const text = stripVTControlCharacters(all)
  // schemathesis redraws its progress before it reports.
  if (exitCode !== 0) t.comment(text.slice(Math.max(0, text.search(/^=+ (ERRORS|FAILURES) =+$/m))))
  return text
}

const GENERATORS: {
  language: string
  tools: Tools | string
  /** Generates the client from `openapi.json` and compiles it. */
  compile(t: Test, tools: Tools): Promise<void>
  /** Compiles the smoke test with the client, and runs it. */
  smoke(t: Test, tools: Tools): Promise<void>
}[] = [
  {
    language: 'TypeScript',
    tools: node,
    async compile(t, tools) {
      await succeeds(t, tools, 'openapi-typescript', 'openapi.json', '--output', 'api.ts')
      await succeeds(t, tools, 'tsc', ...TYPESCRIPT, 'api.ts')
    },
    async smoke(t, tools) {
      await copyFile(path.join(CLIENTS, 'smoke.mts'), path.join(tools.folder, 'smoke.mts'))
      await succeeds(t, tools, 'tsc', ...TYPESCRIPT, '--types', 'node', '--typeRoots', TYPES, 'smoke.mts')
      await succeeds(t, tools, process.execPath, 'smoke.mts', url)
    },
  },
  {
    language: 'Python',
    tools: python,
    async compile(t, tools) {
      const args = ['generate', '--path', 'openapi.json', '--meta', 'none', '--output-path', 'gatehouse_client']
      const output = await succeeds(t, tools, 'openapi-python-client', ...args)
      // It sends raw bodies as the other type that the document names, application/octet-stream.
      const warnings = output.split(/^(?=WARNING )/m).filter(part => part.startsWith('WARNING '))
      for (const warning of warnings) t.match(warning, /^WARNING parsing .*\s+Unsupported content type \*\/\*\s/)
      t.notMatch(output, /will not be generated|will be omitted/)
      await succeeds(t, tools, 'python', '-m', 'compileall', '-q', 'gatehouse_client')
      await succeeds(t, tools, 'python', '-c', 'import gatehouse_client.models')
    },
    async smoke(t, tools) {
      await copyFile(path.join(CLIENTS, 'smoke.py'), path.join(tools.folder, 'smoke.py'))
      await succeeds(t, tools, 'python', 'smoke.py', url)
    },
  },
  {
    language: 'Go',
    tools: go,
    async compile(t, tools) {
      await mkdir(path.join(tools.folder, 'api'))
      const args = ['-generate', 'types,client', '-package', 'api', '-o', 'api/api.go', 'openapi.json']
      await succeeds(t, tools, 'oapi-codegen', ...args)
      await succeeds(t, tools, 'go', 'mod', 'init', 'smoke')
      await succeeds(t, tools, 'go', 'get', GO_RUNTIME)
      await succeeds(t, tools, 'go', 'mod', 'tidy')
      await succeeds(t, tools, 'go', 'build', './api')
    },
    async smoke(t, tools) {
      await copyFile(path.join(CLIENTS, 'smoke.go'), path.join(tools.folder, 'smoke.go'))
      await succeeds(t, tools, 'go', 'mod', 'tidy')
      await succeeds(t, tools, 'go', 'run', '.', url)
    },
  },
]

const TYPESCRIPT = [
  '--noEmit',
  '--strict',
  '--module',
  'nodenext',
  '--target',
  'esnext',
  '--allowImportingTsExtensions',
]
const TYPES = path.resolve(import.meta.dirname, '../../node_modules/@types')

testWith('openapi-spec-validator accepts the document', python, async (t, tools) => {
  await writeFile(path.join(tools.folder, 'openapi.json'), served)
  await succeeds(t, tools, 'openapi-spec-validator', 'openapi.json')
})

for (const [name, text] of [
  ['the document', served],
  ['the document of every kind of path and field', everyKind],
] as const)
  testWith(`Redocly accepts ${name} without a warning`, node, async (t, tools) => {
    await writeFile(path.join(tools.folder, 'openapi.json'), text)
    // The license of an API is a matter of its owner.
    const output = await succeeds(t, tools, 'redocly', 'lint', 'openapi.json', '--skip-rule', 'info-license')
    t.notMatch(output, /warning/)
  })

for (const { language, tools, compile, smoke } of GENERATORS) {
  testWith(`a generated client for ${language} compiles and works`, tools, async (t, tools) => {
    await writeFile(path.join(tools.folder, 'openapi.json'), served)
    await compile(t, tools)
    await smoke(t, tools)
  })
}

for (const { language, tools, compile } of GENERATORS) {
  testWith(`a client for ${language} compiles for every kind of path and field`, tools, async (t, tools) => {
    await writeFile(path.join(tools.folder, 'openapi.json'), everyKind)
    await compile(t, tools)
  })
}

testWith('openapi-spec-validator accepts the document of every kind of path and field', python, async (t, tools) => {
  await writeFile(path.join(tools.folder, 'openapi.json'), everyKind)
  await succeeds(t, tools, 'openapi-spec-validator', 'openapi.json')
})

testWith('schemathesis finds no difference between document and behaviour', python, async (t, tools) => {
  const config = path.join(import.meta.dirname, 'schemathesis.toml')
  const hooks = path.join(import.meta.dirname, 'schemathesis_hooks.py')
  const [phases, ...limits] = isFull
    ? ['coverage,fuzzing', '--max-examples', '25']
    : ['fuzzing', '--max-examples', '5', '--seed', '1']
  const env = {
    ...tools.env,
    SCHEMATHESIS_HOOKS: hooks,
    GATEHOUSE_URL: url,
    GATEHOUSE_EMAIL: administrator.email,
    GATEHOUSE_PASSWORD: administrator.password,
  }
  const run = ['run', `${url}/openapi.json`, '--phases', phases, ...limits, '--continue-on-failure']
  const args = ['--config-file', config, ...run, '--no-color']
  const output = await succeeds(t, { ...tools, env }, 'schemathesis', ...args)
  t.comment(output.slice(output.lastIndexOf('= SUMMARY =')))
})

/** Two services of one name, all kinds of paths and bodies, all types, and rules that JSON Schema cannot state alone. */
function documentOfEveryKind(): object {
  const scalars = [
    'double',
    'float',
    'int32',
    'int64',
    'uint32',
    'uint64',
    'sint32',
    'fixed64',
    'bool',
    'string',
    'bytes',
  ]
  const wellKnown = [
    'Any',
    'Duration',
    'FieldMask',
    'ListValue',
    'Struct',
    'Timestamp',
    'Value',
    'BoolValue',
    'Int64Value',
  ]
  const types = [
    ...scalars,
    ...wellKnown.map(type => `google.protobuf.${type}`),
    'Kind',
    'google.protobuf.NullValue',
    'Every',
  ]
  const fields = types.flatMap((type, at) => [
    `${type} single${at} = ${3 * at + 10};`,
    `repeated ${type} list${at} = ${3 * at + 11};`,
    `map<string, ${type}> map${at} = ${3 * at + 12};`,
  ])
  const text = (name: string, prefix: string) => `
    syntax = "proto3";
    package ${name};
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    import "google/api/httpbody.proto";
    import "google/protobuf/any.proto";
    import "google/protobuf/duration.proto";
    import "google/protobuf/field_mask.proto";
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    service Things {
      rpc Get(Every) returns (Every) {
        option (google.api.http) = {
          get: "${prefix}/{name=users/*}"
          additional_bindings { get: "${prefix}/{name=rooms/*/beds/*}" }
          additional_bindings { get: "${prefix}/things/{id}" }
        };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc Get2(Every) returns (Every) {
        option (google.api.http) = { get: "${prefix}/things/{name=**}" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc Update(Every) returns (Every) {
        option (google.api.http) = { patch: "${prefix}/things/{inner.id}" body: "inner" response_body: "inner" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc Archive(Every) returns (Every) {
        option (google.api.http) = { post: "${prefix}/things/{inner.id}/*:archive" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc Follow(Every) returns (stream Every) {
        option (google.api.http) = { post: "${prefix}/things:follow" body: "list21" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc Upload(Inner) returns (Raw) {
        option (google.api.http) = { put: "${prefix}/files/{id}" body: "file" response_body: "file" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc Convert(google.api.HttpBody) returns (google.api.HttpBody) {
        option (google.api.http) = { post: "${prefix}/files:convert" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc Play(Inner) returns (stream google.api.HttpBody) {
        option (google.api.http) = { get: "${prefix}/files/{id}:play" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
    }
    enum Kind { NONE = 0; SOME = 1; }
    message Inner { string id = 1; string id_2 = 2; Inner inner = 3; google.api.HttpBody file = 4; }
    message Raw { google.api.HttpBody file = 1; }
    message Every {
      string name = 1 [(edge.v1.rules) = { min_length: 3 pattern: "[^\\\\p{Cc}]*" }];
      int32 id = 2 [(edge.v1.rules) = { min: 5 }];
      Inner inner = 3;
      string class = 4 [(edge.v1.rules) = { in: ["a", "b"] }];
      oneof choice { string first = 5; int32 second = 6; Inner third = 7; }
      optional double optional = 8 [(edge.v1.rules) = { min: 0.5 max: 1 }];
      ${fields.join('\n')}
    }`
  const packages = ['every.v1', 'every.v2']
  const contract = buildContract(
    Object.fromEntries(packages.map(name => [`${name.replace('.', '/')}/things.proto`, text(name, `/${name}`)])),
  )
  const services = packages.map(name => ({ service: serviceOf(contract, `${name}.Things`), upstream: 'x' }))
  return buildApiDocument({
    routes: buildRouteTable(services),
    api: { title: 'Every', version: '1' },
    limits: limitsSchema.parse(undefined),
    ownUpstreams: new Set(),
    publicUrl: 'https://x.example',
    bodyLimit: 1024 * 1024,
  })
}
