/**
 * Random and mutated gateway.yaml and HTTP rules: either a configuration that the gateway can serve, or problems that each
 * name the file and the line. Never another error.
 */
import { match, ok } from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { stringify } from 'yaml'
import { inspectBoot } from '../../gateway/command/inspection.ts'
import { createOfflineGateway } from '../../gateway/command/offline-gateway.ts'
import { buildImage } from '../support/contract.ts'
import { fuzz } from './fuzz.ts'

const IMAGE = buildImage({
  'shop.proto': `
    syntax = "proto3";
    package shop.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    message Item { string id = 1; int32 count = 2; Item part = 3; repeated string tags = 4; }
    service Shop {
      rpc Get(Item) returns (Item) {
        option (google.api.http) = {get: "/v1/items/{id}"};
        option (edge.v1.policy) = {access: ACCESS_USER};
      }
      rpc List(Item) returns (Item);
      rpc Watch(Item) returns (stream Item);
      rpc Chat(stream Item) returns (stream Item);
    }
  `,
})

type Yaml = null | boolean | number | string | Yaml[] | { [key: string]: Yaml }

const GATEWAY: Yaml = {
  api: { title: 'Shop', version: '1' },
  upstreams: [
    {
      name: 'shop',
      address: '127.0.0.1:50060',
      contract: 'shop.binpb',
      services: ['shop.v1.Shop'],
      httpRules: 'http-rules.yaml',
      unannotated: 'post',
      timeoutMs: 1000,
      keepalive: { intervalMs: 10_000, withoutCalls: false },
      errors: 'pass',
      errorMetadata: ['item'],
      policies: {
        default: { access: 'public' },
        'shop.v1.Shop': { access: 'user', timeoutMs: 500 },
        'shop.v1.Shop/Get': { access: 'roles', roles: ['admin'], rateLimit: { class: 'user', cost: 2 } },
        'shop.v1.Shop/List': { access: 'optional', tolerateInvalidToken: true, successStatus: 201, override: true },
      },
    },
  ],
  limits: {
    classes: { user: { capacity: 10, refill: '1 / 1s' }, anonymous: 'unlimited', other: 'unlimited' },
    methods: { 'shop.v1.Shop/List': { class: 'user', cost: 1 } },
  },
}
const RULES: Yaml = {
  type: 'google.api.Service',
  config_version: 3,
  http: {
    rules: [
      {
        selector: 'shop.v1.Shop.List',
        get: '/v1/items',
        additional_bindings: [{ post: '/v1/lists/{part.id}', body: '*' }],
      },
      { selector: 'shop.v1.Shop.Watch', post: '/v1/items/{id=**}:watch', body: 'part', response_body: 'tags' },
      { selector: 'shop.v1.Shop.Chat', custom: { kind: 'FROB', path: '/v1/chat' } },
    ],
  },
}

/** The paths of all nodes of a document. */
function pathsOf(value: Yaml, at: readonly (string | number)[] = []): (string | number)[][] {
  const children = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return [
    [...at],
    ...children.flatMap(([key, child]) => pathsOf(child, [...at, Array.isArray(value) ? Number(key) : key])),
  ]
}

const WORDS = [
  'shop',
  'shop.v1.Shop',
  'shop.v1.Shop/Get',
  'shop.v1.Shop.Get',
  'public',
  'internal',
  'roles',
  'user',
  'admin',
]
  .concat(
    'default',
    'http-rules.yaml',
    'none.yaml',
    'reflection',
    '/v1/{id}',
    '/v1/{id=**}/x',
    '/docs',
    '{',
    '*',
    '__proto__',
  )
  .concat('constructor', 'access', 'get', 'put', 'body', 'policies', 'tls', 'ca', 'health', '1 / 1s', '0 / 0s', '')
const word = fc.constantFrom(...WORDS)
const junk: fc.Arbitrary<Yaml> = fc.oneof(
  word,
  fc.constantFrom<Yaml>(null, true, 0, -1, 1.5, 1e21, 2 ** 53, [], {}, Number.NaN),
  fc.integer(),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.array(word, { maxLength: 2 }),
  fc.dictionary(word, word, { maxKeys: 2 }),
)

interface Change {
  readonly kind: 'replace' | 'remove' | 'add' | 'repeat'
  readonly path: readonly (string | number)[]
  readonly key: string
  readonly value: Yaml
}

const changeOf = (document: Yaml): fc.Arbitrary<Change> =>
  fc.record({
    kind: fc.constantFrom('replace', 'remove', 'add', 'repeat'),
    path: fc.constantFrom(...pathsOf(document)),
    key: word,
    value: junk,
  })

/** A path that an earlier change has removed changes nothing. */
function applyChange(document: Yaml, { kind, path: at, key, value }: Change): Yaml {
  const last = at.at(-1)
  if (last === undefined) return kind === 'replace' ? value : document
  let parent: Yaml | undefined = document
  for (const step of at.slice(0, -1)) parent = (parent as Record<string, Yaml> | null | undefined)?.[step]
  if (typeof parent !== 'object' || parent === null) return document
  const node = parent as Record<string, Yaml>
  if (kind === 'replace') node[last] = value
  else if (kind === 'remove') {
    if (Array.isArray(parent)) parent.splice(Number(last), 1)
    else delete node[last]
  } else if (kind === 'repeat' && Array.isArray(parent)) parent.push(structuredClone(node[last] ?? null))
  else if (!Array.isArray(parent))
    Object.defineProperty(node, key, { value, enumerable: true, configurable: true, writable: true })
  return document
}

const SNIPPETS = [
  '  ',
  '\n',
  ':',
  '- ',
  '{',
  '}',
  '[',
  ']',
  '&a ',
  '*a',
  '!!binary ',
  '| ',
  '"',
  "'",
  '#',
  `\${HOME}`,
  `\${NONE}`,
  `\${X:-1}`,
  '\t',
  '\0',
  '? ',
  '<<: ',
  '---\n',
  '%YAML 3\n',
  'é',
]
interface Edit {
  readonly at: number
  readonly removed: number
  readonly text: string
}

const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat(3000),
  removed: fc.nat(12),
  text: fc.oneof(fc.constantFrom(...SNIPPETS), fc.string({ maxLength: 3 })),
})

const textOf = (document: Yaml) =>
  fc
    .record({
      changes: fc.array(changeOf(document), { maxLength: 3 }),
      edits: fc.oneof(
        { weight: 2, arbitrary: fc.constant<Edit[]>([]) },
        { weight: 1, arbitrary: fc.array(edit, { maxLength: 2 }) },
      ),
    })
    .map(({ changes, edits }) => {
      const text = stringify(changes.reduce(applyChange, structuredClone(document)))
      return edits.reduce((one, { at, removed, text: added }) => {
        const start = at % (one.length + 1)
        return one.slice(0, start) + added + one.slice(start + removed)
      }, text)
    })

/** Variables without a value are listed by name for the whole file. */
const NAMES_PLACE = /(gateway|http-rules)\.yaml(:\d+| requires these variables)/

t.test('a random configuration can be served, or each problem names the file and the line', async t => {
  const folder = t.testdir({ 'shop.binpb': Buffer.from(IMAGE) })
  const [gateway, rules] = ['gateway.yaml', 'http-rules.yaml'].map(name => path.join(folder, name)) as [string, string]
  const env = { GATEWAY_CONFIG: gateway, REDIS_URL: 'redis://127.0.0.1:6379', HOME: '/home' }
  const counts = { valid: 0, invalid: 0 }
  const files = fc.record({ gatewayText: textOf(GATEWAY), rulesText: textOf(RULES) })
  const property = fc.asyncProperty(files, async ({ gatewayText, rulesText }) => {
    writeFileSync(gateway, gatewayText)
    writeFileSync(rules, rulesText)
    const { boot, problems } = inspectBoot(env)
    for (const problem of problems) match(problem, NAMES_PLACE, problem)
    ok(boot !== undefined || problems.length > 0)
    counts[problems.length === 0 ? 'valid' : 'invalid']++
    // The app, as the gateway builds it at the start.
    if (boot !== undefined && problems.length === 0) await (await createOfflineGateway(boot)).close()
  })
  await fuzz(t, property, 300)
  t.comment(counts)
  t.ok(counts.valid > 10 && counts.invalid > 10)
})
