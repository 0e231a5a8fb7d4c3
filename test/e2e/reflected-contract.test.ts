/** Contracts that a gateway reads by reflection, mostly from a server of grpc-go. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader'
import { ReflectionService } from '@grpc/reflection'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { stringify } from 'yaml'
import { parseContract } from '#runtime/grpc/contract.ts'
import { readSettings } from '#runtime/process/env.ts'
import { settingsSchema } from '../../gateway/config.ts'
import { createGateway } from '../../gateway/gateway.ts'
import { buildImage } from '../support/contract.ts'
import { issueCertificates } from '../support/grpc-peers/certificates.ts'
import { prepareReflectedServer, startReflectedServer } from '../support/reflected-server.ts'
import { openTestPort } from '../support/test-port.ts'
import { until } from '../support/until.ts'

// Go programs are built at the first run.
t.setTimeout(600_000)

const skip = (await prepareReflectedServer()) ?? false

const SHOP = 'shop.v1.Shop'

/** The contract of a shop. @param methods of the service, and what else the file has. */
function shop(methods: string, more = ''): Uint8Array {
  return buildImage({
    'shop/v1/item.proto': 'syntax = "proto3"; package shop.v1; message Item { string id = 1; }',
    'shop/v1/shop.proto': `
      syntax = "proto3";
      package shop.v1;
      import "edge/v1/options.proto";
      import "google/api/annotations.proto";
      import "shop/v1/item.proto";
      service Shop { ${methods} }
      ${more}
    `,
  })
}

const GET = 'rpc Get(Item) returns (Item) { option (google.api.http) = {get: "/v1/items/{id}"}; }'
const LIST = 'rpc List(Item) returns (Item) { option (google.api.http) = {get: "/v1/items"}; }'
const withPolicy = (access: string) => `
  rpc Get(Item) returns (Item) {
    option (google.api.http) = {get: "/v1/items/{id}"};
    option (edge.v1.policy) = {access: ${access}};
  }`

/** Writes the image of another upstream. @returns its path. */
function otherImage(t: Test): string {
  const image = buildImage({
    'other/v1/other.proto': `
      syntax = "proto3";
      package other.v1;
      import "google/api/annotations.proto";
      message Thing { string id = 1; }
      service Other {
        rpc Get(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/others/{id}"}; }
        rpc Any(Thing) returns (Thing) { option (google.api.http) = {custom: {kind: "*", path: "/v1/any"}}; }
      }
    `,
  })
  return path.join(t.testdir({ 'other.binpb': image }), 'other.binpb')
}

type Entry = Record<string, unknown>

interface GatewayOptions {
  /** Changes of the entry of the shop. */
  entry?: Entry
  /** Entries of other upstreams. */
  others?: Entry[]
  /** Folder that keeps contracts. Default: a new one. */
  contracts?: string
}

/** Starts a gateway in this process, in front of the shop. Stops it at the end of the test, or by `stop`. */
async function startGateway(t: Test, address: string, options: GatewayOptions = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), 'gatehouse-gateway-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const { entry = {}, others = [], contracts = path.join(folder, 'contracts') } = options
  const file = path.join(folder, 'gateway.yaml')
  const limits = { classes: { user: 'unlimited', anonymous: 'unlimited', other: 'unlimited' } }
  const policies = { default: { access: 'public' } }
  const defaults = { name: 'shop', address, contract: 'reflection', services: [SHOP], policies, ...entry }
  const write = (changes: Entry) =>
    writeFileSync(file, stringify({ upstreams: [...others, { ...defaults, ...changes }], limits }))
  write({})
  const port = await openTestPort()
  const env = { GATEWAY_PORT: String(port), GATEWAY_CONFIG: file, GATEWAY_CONTRACT_DIR: contracts, DRAIN_DELAY_MS: '1' }
  const lines: Record<string, unknown>[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const gateway = await createGateway(readSettings(settingsSchema, env), env, logger)
  const stop = once(async () => {
    for (const stage of gateway.stages) await stage.stop()
  })
  t.teardown(stop)
  await gateway.listen()
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`)
  const statusOf = async (path: string) => (await get(path)).status
  const reads = async () => {
    const { values = [] } =
      (await gateway.metrics.snapshot()).find(({ name }) => name === 'upstream_contract_reads_total') ?? {}
    return Object.fromEntries(values.map(({ labels, value }) => [labels['outcome'], value]))
  }
  return {
    gateway,
    lines,
    write,
    contracts,
    stop,
    get,
    post: (path: string, body: object) =>
      fetch(`http://127.0.0.1:${port}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    statusOf,
    hasStatus: (path: string, status: number) =>
      until(
        () => statusOf(path),
        is => is === status,
      ),
    reads,
    hasRead: (outcome: string, count: number) => until(reads, all => (all[outcome] ?? 0) >= count),
    /** The problems that the log has of refused contracts. */
    problems: () => lines.flatMap(({ problem }) => (typeof problem === 'string' ? [problem] : [])).join('\n'),
    /** Polls until the health check of the contract has the result. Results are kept for a second. */
    hasCheck: (passed: boolean, problem = /^/) =>
      until(
        async () => (await gateway.healthDetails()).checks.find(({ name }) => name === 'contract of shop'),
        check => check?.passed === passed && !check.required && problem.test(check.problem ?? ''),
      ),
  }
}

function once<T>(action: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => {
    result ??= action()
    return result
  }
}

const EVERY_SECOND = { reflection: { intervalMs: 1000 } }

t.test('a gateway serves a grpc-go server by reflection alone, v1 or v1alpha', { skip }, async t => {
  for (const versions of [['v1', 'v1alpha'], ['v1'], ['v1alpha']] as const) {
    const server = await startReflectedServer(t, { image: shop(GET), services: [SHOP], versions })
    const { get } = await startGateway(t, server.address)
    const response = await get('/v1/items/7')
    t.same([response.status, await response.json()], [200, { id: '7' }], versions.join())
  }
})

t.test('a server of @grpc/reflection, whose descriptors have relative type names, is served', async t => {
  const folder = t.testdir({
    'box.proto': `
      syntax = "proto3";
      package box.v1;
      import "google/protobuf/timestamp.proto";
      message Box { Size size = 1; map<string, Part> parts = 2; google.protobuf.Timestamp at = 3; enum Size { ANY = 0; BIG = 1; } oneof weight { int32 in_grams = 5; } }
      message Part { string name = 1; }
      service Boxes { rpc Put(Box) returns (Box); }
    `,
  })
  const definition = loadSync(path.join(folder, 'box.proto'), { longs: String, keepCase: true })
  const server = new Server()
  server.addService(definition['box.v1.Boxes'] as ServiceDefinition, {
    Put: (call: ServerUnaryCall<object, object>, callback: sendUnaryData<object>) => callback(null, call.request),
  })
  new ReflectionService(definition as never).addToServer(server)
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  t.teardown(() => server.forceShutdown())
  const { post } = await startGateway(t, `127.0.0.1:${port}`, {
    entry: { services: ['box.v1.Boxes'], unannotated: 'post' },
  })
  const box = { size: 'BIG', parts: { lid: { name: 'Lid' } }, at: '2026-01-02T03:04:05Z', inGrams: 7 }
  const response = await post('/box.v1.Boxes/Put', box)
  t.same([response.status, await response.json()], [200, box])
})

t.test('the contract of an upstream with TLS is read over TLS', { skip }, async t => {
  const { server: certificates } = await issueCertificates()
  const server = await startReflectedServer(t, { image: shop(GET), services: [SHOP], certificates })
  const folder = t.testdir({ 'ca.pem': certificates.ca })
  const tls = { ca: path.join(folder, 'ca.pem'), serverName: 'localhost' }
  const { statusOf } = await startGateway(t, server.address, { entry: { tls } })
  t.equal(await statusOf('/v1/items/7'), 200)
  const distrusting = await startGateway(t, server.address, { entry: { tls: { serverName: 'localhost' } } })
  t.equal(await distrusting.statusOf('/v1/items/7'), 503)
})

t.test(
  'while the upstream is down, the gateway is ready and its paths are 503 contract_unavailable',
  { skip },
  async t => {
    const port = await openTestPort()
    const others = [{ name: 'other', address: '127.0.0.1:1', contract: otherImage(t), services: ['other.v1.Other'] }]
    const { get, statusOf, hasStatus, hasCheck } = await startGateway(t, `127.0.0.1:${port}`, {
      others: others.map(other => ({ ...other, policies: { default: { access: 'public' } } })),
    })
    t.equal(await statusOf('/readyz'), 200)
    const response = await get('/v1/items/7')
    t.match(await response.json(), { status: 503, code: 'contract_unavailable' })
    t.match(response.headers.get('retry-after'), /^[1-9]/)
    t.match(
      await (await get('/v1/others/7')).json(),
      { status: 503, code: 'unavailable' },
      'another upstream has its routes',
    )
    await hasCheck(false)
    await startReflectedServer(t, { image: shop(GET), services: [SHOP], port })
    await hasStatus('/v1/items/7', 200)
    t.equal(await statusOf('/v1/unknown'), 404)
    await hasCheck(true)
  },
)

t.test('a server that restarts with another contract: it is read when the connection comes back', { skip }, async t => {
  const first = await startReflectedServer(t, { image: shop(GET), services: [SHOP] })
  const { statusOf, hasStatus, lines } = await startGateway(t, first.address, {
    entry: { policies: { [SHOP]: { access: 'public' } } },
  })
  t.equal(await statusOf('/v1/items'), 404)
  await first.stop()
  await startReflectedServer(t, { image: shop(GET + LIST), services: [SHOP], port: first.port })
  await hasStatus('/v1/items', 200)
  t.ok(lines.some(({ reason }) => reason === 'contract of upstream shop read by reflection'))
})

t.test('the default policy applies to a new method only after a reload of gateway.yaml', { skip }, async t => {
  const server = await startReflectedServer(t, { image: shop(GET), services: [SHOP] })
  const { gateway, lines, statusOf, hasRead } = await startGateway(t, server.address, { entry: EVERY_SECOND })
  await server.change(shop(GET + LIST))
  await hasRead('accepted', 2)
  t.same([await statusOf('/v1/items/7'), await statusOf('/v1/items')], [200, 404])
  t.ok(lines.some(({ method, reason }) => method === 'shop.v1.Shop/List' && /default.*reload/.test(String(reason))))
  t.equal(await gateway.reload('test'), 'success')
  t.not(await statusOf('/v1/items'), 404)
})

t.test('a changed contract is taken over without a failed request', { skip }, async t => {
  const server = await startReflectedServer(t, { image: shop(GET), services: [SHOP] })
  const { get, hasRead } = await startGateway(t, server.address, { entry: EVERY_SECOND })
  const results = new Set<string>()
  let isOver = false
  const clients = Array.from({ length: 4 }, async () => {
    while (!isOver) {
      results.add(
        await get('/v1/items/7').then(
          async response => `${response.status} ${await response.text()}`,
          error => String((error as Error).cause ?? error),
        ),
      )
    }
  })
  for (const count of [2, 3]) {
    await server.change(shop(GET, `message Added${count} {}`))
    await hasRead('accepted', count)
  }
  isOver = true
  await Promise.all(clients)
  t.strictSame([...results], ['200 {"id":"7"}'])
})

t.test(
  'a contract that cannot be served, weakens access or takes a path is refused, and the old one stays',
  { skip },
  async t => {
    const good = shop(withPolicy('ACCESS_PUBLIC') + LIST)
    const server = await startReflectedServer(t, { image: good, services: [SHOP] })
    const other = { name: 'other', address: server.address, contract: otherImage(t), services: ['other.v1.Other'] }
    const { lines, gateway, hasCheck, problems, statusOf, hasRead } = await startGateway(t, server.address, {
      entry: { ...EVERY_SECOND, trusted: true, policies: { 'shop.v1.Shop/List': { access: 'internal' } } },
      others: [{ ...other, policies: { default: { access: 'public' } } }],
    })
    const extra = (http: string) => `
    rpc Extra(Item) returns (Item) {
      option (google.api.http) = {${http}};
      option (edge.v1.policy) = {access: ACCESS_PUBLIC};
    }`
    const policy = withPolicy('ACCESS_PUBLIC')
    const faults: [image: Uint8Array, problem: RegExp][] = [
      [shop(policy + LIST + extra('get: "/v1/{nofield}"')), /shop\.v1\.Shop\/Extra: .*nofield/],
      [shop(policy + LIST + extra('get: "/v1/others/{id}"')), /GET \/v1\/others\/\{id\} is already bound to other\.v1/],
      [
        shop(policy + LIST + extra('get: "/v1/others/mine"')),
        /would take paths of GET \/v1\/others\/\*.*upstream other/,
      ],
      [shop(policy + LIST + extra('get: "/v1/any"')), /would take paths of GET \/v1\/any .*upstream other/],
      [shop(withPolicy('ACCESS_PUBLIC, timeout: {seconds: 60}') + LIST), /Get: timeout of its policy would be weaker/],
    ]
    for (const [index, [image, problem]] of faults.entries()) {
      await server.change(image)
      await hasRead('refused', index + 1)
      t.match(problems(), problem)
      t.equal(await statusOf('/v1/items/7'), 200)
      await hasCheck(false, /refused/)
    }
    t.equal(lines.filter(({ msg }) => /^configuration not reloaded/.test(String(msg))).length, faults.length)
    // The operator accepts the last one, with the longer timeout.
    t.equal(await gateway.reload('test'), 'success')
    await hasCheck(true)
  },
)

t.test('the last good contract is kept and served after a restart while the upstream is down', { skip }, async t => {
  const server = await startReflectedServer(t, { image: shop(GET), services: [SHOP] })
  const first = await startGateway(t, server.address)
  t.equal(await first.statusOf('/v1/items/7'), 200)
  const file = path.join(first.contracts, 'shop.binpb')
  await until(
    async () => readdirSync(first.contracts),
    names => names.join() === 'shop.binpb',
  )
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.ok(parseContract(readFileSync(file)).getService(SHOP), 'the file is an image')
  await first.stop()
  await server.stop()

  const { contracts } = first
  const second = await startGateway(t, server.address, { contracts })
  t.match(await (await second.get('/v1/items/7')).json(), { status: 503, code: 'unavailable' })
  t.equal(await second.statusOf('/v1/unknown'), 404)
  await startReflectedServer(t, { image: shop(GET), services: [SHOP], port: server.port })
  await second.hasStatus('/v1/items/7', 200)
  await second.stop()

  writeFileSync(file, 'no image')
  const third = await startGateway(t, server.address, { contracts })
  t.ok(third.lines.some(({ msg }) => msg === 'kept contract invalid; continuing without it'))
  t.equal(await third.statusOf('/v1/items/7'), 200)
  await until(
    async () => readFileSync(file),
    image => parses(image),
  )
})

function parses(image: Uint8Array): boolean {
  try {
    return parseContract(image).getService(SHOP) !== undefined
  } catch {
    return false
  }
}

t.test('a restart accepts new methods but no weaker access than the kept contract has', { skip }, async t => {
  const entry = { trusted: true, policies: { default: { access: 'public' } } }
  const limited = (seconds: number, more = '') =>
    shop(withPolicy(`ACCESS_PUBLIC, timeout: {seconds: ${seconds}}`) + more)
  const server = await startReflectedServer(t, { image: limited(1), services: [SHOP] })
  const first = await startGateway(t, server.address, { entry })
  await until(
    async () => readdirSync(first.contracts),
    names => names.join() === 'shop.binpb',
  )
  await first.stop()
  const { contracts } = first

  await server.change(limited(2))
  const second = await startGateway(t, server.address, { entry, contracts })
  await second.hasCheck(false)
  t.match(second.problems(), /Get: timeout of its policy would be weaker[\s\S]*delete .*shop\.binpb and send SIGHUP/)
  t.equal(await second.statusOf('/v1/items/7'), 200)
  await second.stop()

  await server.change(limited(1, LIST))
  const third = await startGateway(t, server.address, { entry, contracts })
  t.not(await third.statusOf('/v1/items'), 404)
})

t.test('policies in the contract count only with `trusted: true`, and so do cookies', { skip }, async t => {
  const annotated = await startReflectedServer(t, { image: shop(withPolicy('ACCESS_PUBLIC')), services: [SHOP] })
  const none = { policies: {} }
  const untrusted = await startGateway(t, annotated.address, { entry: none })
  t.equal(await untrusted.statusOf('/v1/items/7'), 503)
  t.match(
    untrusted.problems(),
    /upstream shop: shop\.v1\.Shop\/Get: has a policy in its contract, which does not count.*trusted: true/,
  )
  const trusted = await startGateway(t, annotated.address, { entry: { ...none, trusted: true } })
  t.equal(await trusted.statusOf('/v1/items/7'), 200)

  const cookie =
    'message Stolen { optional string token = 1 [(edge.v1.cookie) = {name: "__Secure-gatehouse-refresh", path: "/"}]; }'
  const steal = 'rpc Steal(Stolen) returns (Item) { option (google.api.http) = {get: "/v1/stolen"}; }'
  const thief = await startReflectedServer(t, { image: shop(GET + steal, cookie), services: [SHOP] })
  const wary = await startGateway(t, thief.address)
  t.equal(await wary.statusOf('/v1/stolen'), 503)
  t.match(wary.problems(), /cookies and revocations .* require `trusted: true`: .*shop\.v1\.Stolen\.token/)
  const trusting = await startGateway(t, thief.address, { entry: { trusted: true } })
  t.equal(await trusting.statusOf('/v1/stolen'), 200)
})

t.test('a contract that cannot be read is reported with the cure', { skip }, async t => {
  const image = shop(GET)
  const server = await startReflectedServer(t, { image, services: [SHOP] })
  const without = await startReflectedServer(t, { image, services: [SHOP], versions: [] })
  const faults: [address: string, entry: Entry, problem: RegExp][] = [
    [without.address, {}, /does not implement reflection .*register it there, or set `contract` to the path/],
    [
      server.address,
      { services: ['shop.v1.Shp'] },
      /does not return the service shop\.v1\.Shp .*; it has .*shop\.v1\.Shop/,
    ],
    [server.address, { reflection: { maxFiles: 4 } }, /larger than 4 files: raise reflection\.maxFiles/],
    [server.address, { reflection: { maxBytes: 300 } }, /larger than 300 bytes|larger than max/],
    ['127.0.0.1:1', {}, /connect ECONNREFUSED|No connection established/],
  ]
  for (const [address, entry, problem] of faults) {
    const { hasCheck, reads } = await startGateway(t, address, { entry })
    t.ok(await hasCheck(false, problem), problem.source)
    t.ok(((await reads())['failed'] ?? 0) >= 1)
  }
})
