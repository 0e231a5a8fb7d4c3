/** The npm package: its contents, its types, and a third party's service behind `npx gatehouse serve` in an empty folder. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import getPort from 'get-port'
import t, { type Test } from 'tap'
import { startChild } from '../../deploy/dev/child.ts'
import { buildPackage } from '../../deploy/package/build.ts'
import { buildGrpcExamples } from '../support/grpc-examples.ts'
import { until } from '../support/until.ts'

// Compiles the package, installs it with its dependencies, and builds a program of Go.
t.setTimeout(600_000)

const ROOT = path.resolve(import.meta.dirname, '../..')
const NODE_24 = 'node@24.21.0'

const work = await mkdtemp(path.join(tmpdir(), 'gatehouse-package-'))
t.teardown(() => rm(work, { recursive: true, force: true }))
const tarball = await buildPackage(path.join(ROOT, '.data/package-test'))
const project = path.join(work, 'project')
const node24 = path.join(work, 'node-24')
// Before the first test: tap ends when its tests have ended.
const [examples] = await Promise.all([buildGrpcExamples(), install(project, tarball), install(node24, NODE_24)])
const packageFolder = path.join(project, 'node_modules/gatehouse')

/** Installs a package in an empty folder. */
async function install(folder: string, name: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  // The package `node` has a script that links the binary of the platform.
  await writeFile(path.join(folder, 'package.json'), '{"private": true, "allowScripts": {"node": true}}')
  const options = { cwd: folder, stdin: 'ignore' } as const
  await execa('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', name], options)
}

t.test('the package has compiled code with types, the protos, the schema, and nothing else', async t => {
  const { stdout } = await execa('tar', ['-tzf', tarball])
  const files = stdout.split('\n').map(name => name.replace(/^package\//, ''))
  const isGenerated = (name: string) => /^proto\/gen\/.*_pb\.(js|d\.ts)$/.test(name)
  const compiled = files.filter(name => /\.(js|d\.ts)$/.test(name) && !isGenerated(name))
  const other = files.filter(name => !compiled.includes(name) && !isGenerated(name))
  t.strictSame(other.sort(), [
    'LICENSE',
    'README.md',
    'gateway/gateway.schema.json',
    'package.json',
    'proto/edge/v1/options.proto',
    'proto/edge/v1/revocation.proto',
    'proto/google/api/annotations.proto',
    'proto/google/api/field_behavior.proto',
    'proto/google/api/http.proto',
    'proto/google/api/httpbody.proto',
  ])
  t.ok(compiled.length > 300, `${compiled.length} compiled files`)
  for (const name of compiled) {
    const stem = name.replace(/\.(js|d\.ts)$/, '')
    if (!existsSync(path.join(ROOT, `${stem}.ts`))) t.fail(`${name} has no source`)
    if (!compiled.includes(`${stem}.js`) || !compiled.includes(`${stem}.d.ts`)) t.fail(`${stem} lacks code or types`)
  }
  t.strictSame(
    new Set(compiled.map(name => name.split('/').slice(0, 2).join('/')).filter(name => !/\.(js|d\.ts)$/.test(name))),
    new Set([
      ...['api-reference', 'command', 'contract', 'edge', 'http', 'transcoding', 'upstream', 'workers'].map(
        name => `gateway/${name}`,
      ),
      ...['auth', 'grpc', 'observability', 'process'].map(name => `runtime/${name}`),
      'proto/gen',
    ]),
  )
})

t.test('the manifest has the dependencies of the gateway in the versions of the repository, and no others', async t => {
  const manifest = JSON.parse(await readFile(path.join(packageFolder, 'package.json'), 'utf8'))
  const root = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8'))
  t.match(manifest, {
    name: 'gatehouse',
    version: root.version,
    engines: { node: '>=24' },
    bin: { gatehouse: 'gateway/command/main.js' },
    scripts: undefined,
    devDependencies: undefined,
  })
  for (const [name, version] of Object.entries(manifest.dependencies)) t.equal(version, root.dependencies[name], name)
  for (const name of ['fastify', '@grpc/grpc-js', '@grpc/reflection', '@bufbuild/protobuf', 'ioredis', 'zod'])
    t.ok(manifest.dependencies[name])
  const foreign = ['pg', 'kysely', 'graphile-worker', '@node-rs/bcrypt', '@zxcvbn-ts/core', 'node', '@bufbuild/buf']
  for (const name of foreign) t.notOk(manifest.dependencies[name], name)
})

t.test('a TypeScript program uses the types of the package', async t => {
  const program = `
    import { createGateway, type Gateway } from 'gatehouse'
    import { settingsSchema, type GatewaySettings } from 'gatehouse/config'
    export const start: (settings: GatewaySettings) => Promise<Gateway> = async settings => {
      const port: number = settings.GATEWAY_PORT
      // @ts-expect-error a port is a number
      const text: string = settings.GATEWAY_PORT
      // @ts-expect-error the environment is missing
      const gateway = await createGateway(settings)
      const outcome: 'success' | 'failure' = await gateway.reload('test')
      // @ts-expect-error reload takes a reason
      await gateway.reload(outcome, port, text)
      return gateway
    }
    export const names = Object.keys(settingsSchema)
  `
  await writeFile(path.join(project, 'program.mts'), program)
  const types = path.join(ROOT, 'node_modules/@types')
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--skipLibCheck',
    '--types',
    'node',
    '--typeRoots',
    types,
  ]
  const { stdout, exitCode } = await execa('env', ['-u', 'NODE_OPTIONS', 'tsc', ...options, 'program.mts'], {
    cwd: project,
    preferLocal: true,
    localDir: ROOT,
    reject: false,
  })
  t.equal(exitCode, 0, stdout)
})

const GATEWAY_YAML = (port: number) => `upstreams:
  - name: guide
    address: 127.0.0.1:${port}
    contract: route_guide.binpb
    services: [routeguide.RouteGuide]
    httpRules: rules.yaml
    unannotated: post
    policies:
      default: { access: public }
      routeguide.RouteGuide/RecordRoute: { access: internal }
      routeguide.RouteGuide/RouteChat: { access: internal }
`

const RULES = `type: google.api.Service
http:
  rules:
    - selector: routeguide.RouteGuide.GetFeature
      get: /v1/features/{latitude}/{longitude}
`

/** The folder of each Node.js, by its major version. */
const NODES = { 24: path.join(node24, 'node_modules/.bin'), 26: path.join(ROOT, 'node_modules/.bin') }

for (const [major, bin, workers] of [
  ['24', NODES[24], undefined],
  ['24', NODES[24], '2'],
  ['26', NODES[26], undefined],
] as const) {
  const mode = workers === undefined ? 'a single process' : 'workers'
  const name = `npx gatehouse serve serves the service of a third party on Node.js ${major}, with ${mode}`
  t.test(name, { skip: typeof examples === 'string' && examples }, async t => {
    if (typeof examples === 'string') return
    const [upstreamPort, port] = [await getPort(), await getPort()]
    const server = await examples.start('route_guide', upstreamPort)
    t.teardown(() => server.stop())
    const folder = await prepare(examples.routeGuideProto, upstreamPort)
    const env = environment(bin)
    const version = await execa('node', ['--version'], { env, extendEnv: false })
    t.match(version.stdout, new RegExp(`^v${major}\\.`))
    await serve(t, { folder, port, env: { ...env, ...(workers !== undefined && { GATEWAY_WORKERS: workers }) } })
  })
}

const BY_REFLECTION = (port: number) => `upstreams:
  - name: greeter
    address: 127.0.0.1:${port}
    contract: reflection
    services: [helloworld.Greeter]
    unannotated: post
    policies: { default: { access: public } }
`

t.test(
  'the package serves a contract that it reads by reflection',
  { skip: typeof examples === 'string' && examples },
  async t => {
    if (typeof examples === 'string') return
    const [upstreamPort, port] = [await getPort(), await getPort()]
    const server = await examples.start('features/reflection', upstreamPort)
    t.teardown(() => server.stop())
    await writeFile(path.join(project, 'reflection.yaml'), BY_REFLECTION(upstreamPort))
    const child = await startChild({
      name: 'gatehouse',
      command: path.join(project, 'node_modules/.bin/gatehouse'),
      args: ['serve', '--config', path.join(project, 'reflection.yaml')],
      env: { ...environment(NODES[24]), GATEWAY_PORT: String(port), GATEWAY_METRICS_PORT: 'off', DRAIN_DELAY_MS: '1' },
    })
    t.teardown(() => child.stop())
    await child.waitForLine(/gateway listening/)
    const hello = async () => {
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name": "Ada"}' }
      const response = await fetch(`http://127.0.0.1:${port}/helloworld.Greeter/SayHello`, init)
      return { status: response.status, body: await response.json() }
    }
    await until(hello, ({ status }) => status === 200, { everyMs: 50 })
    t.match((await hello()).body, { message: 'Hello Ada' })
  },
)

t.test('every other subcommand runs on Node.js 24', { skip: typeof examples === 'string' && examples }, async t => {
  if (typeof examples === 'string') return
  const folder = await prepare(examples.routeGuideProto, 50051)
  const options = { cwd: folder, env: environment(NODES[24]), extendEnv: false } as const
  const run = async (...args: string[]) => (await execa('npx', ['gatehouse', ...args], options)).stdout
  t.match(await run('check'), /2 routes, 0 problems/)
  t.match(await run('routes'), /GET +\/v1\/features\/\{latitude\}\/\{longitude\} +routeguide/)
  t.match(await run('explain', 'GET', '/v1/features/1/2'), /"latitude": 1,\s+"longitude": 2/)
  t.match(JSON.parse(await run('openapi')), { openapi: '3.1.0' })
  await writeFile(path.join(folder, 'routes.json'), await run('routes', '--json'))
  t.equal(await run('policy-diff', 'routes.json', 'gateway.yaml'), 'No changes')
  t.match(await run('proto', 'include'), 'options.proto')
})

/** Without the settings of the test run. */
function environment(bin: string): Record<string, string> {
  return { PATH: `${bin}:${process.env['PATH']}`, HOME: process.env['HOME'] ?? '' }
}

/** The project, with the contract of the service and gateway.yaml. */
async function prepare(proto: string, port: number): Promise<string> {
  await rm(path.join(project, 'proto'), { recursive: true, force: true })
  await rm(path.join(project, 'include'), { recursive: true, force: true })
  await mkdir(path.join(project, 'proto'))
  await writeFile(path.join(project, 'proto/route_guide.proto'), proto)
  const args = ['build', 'proto', '--as-file-descriptor-set', '-o', 'route_guide.binpb']
  await execa('buf', args, { cwd: project, preferLocal: true, localDir: ROOT })
  await writeFile(path.join(project, 'gateway.yaml'), GATEWAY_YAML(port))
  await writeFile(path.join(project, 'rules.yaml'), RULES)
  return project
}

interface ServeOptions {
  readonly folder: string
  readonly port: number
  readonly env: Record<string, string>
}

/** Serves, calls the service, reloads, and stops. */
async function serve(t: Test, { folder, port, env }: ServeOptions): Promise<void> {
  const settings = { GATEWAY_PORT: String(port), GATEWAY_METRICS_PORT: 'off', DRAIN_DELAY_MS: '1' }
  const child = await startChild({
    name: 'gatehouse',
    command: 'npx',
    args: ['gatehouse', 'serve'],
    cwd: folder,
    env: { ...env, ...settings },
  })
  // As a terminal: to npx and to the gateway.
  const signal = (name: NodeJS.Signals) => child.hasExited || process.kill(-child.pid, name)
  t.teardown(async () => {
    signal('SIGKILL')
    await child.exited
  })
  await child.waitForLine(/gateway listening/)
  const url = `http://127.0.0.1:${port}`
  const feature = () => fetch(`${url}/v1/features/409146138/-746188906`)
  await until(feature, ({ status }) => status === 200, { everyMs: 50 })
  const response = await feature()
  t.match(await response.json(), { name: 'Berkshire Valley Management Area Trail, Jefferson, NJ, USA' })
  t.match(response.headers.get('ratelimit'), /^"anonymous";r=\d+/)

  const stream = await fetch(`${url}/routeguide.RouteGuide/ListFeatures`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ lo: { latitude: 4e8, longitude: -75e7 }, hi: { latitude: 42e7, longitude: -73e7 } }),
  })
  const lines = (await stream.text()).trim().split('\n')
  t.ok(lines.length > 50, `${lines.length} features`)
  t.match(JSON.parse(lines[0] ?? ''), { location: { latitude: Number } })

  const invalid = await fetch(`${url}/v1/features/north/1`)
  t.match([invalid.status, await invalid.json()], [400, { code: 'invalid_argument', errors: [{ field: 'latitude' }] }])
  t.equal((await fetch(`${url}/openapi.json`)).status, 200)
  t.equal((await fetch(`${url}/docs/`)).status, 200)
  t.equal((await fetch(`${url}/readyz`)).status, 200)

  const started = JSON.parse(await child.waitForLine(/gateway listening/))
  if (env['GATEWAY_WORKERS'] === undefined) process.kill(started.pid, 'SIGHUP')
  if (env['GATEWAY_WORKERS'] === undefined) await child.waitForLine(/configuration reloaded/)
  t.equal((await feature()).status, 200)
  signal('SIGINT')
  await child.waitForLine(/shutdown completed/)
}
