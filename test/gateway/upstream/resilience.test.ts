/** Circuit breaker, canary, and what an upstream keeps when its settings change; over the connections of the gateway. */
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createGatewayMetrics, type GatewayMetrics } from '../../../gateway/metrics.ts'
import { callPolicy } from '../../../gateway/upstream/call-policy.ts'
import { type ConnectionLease, createConnections } from '../../../gateway/upstream/connections.ts'
import { isCanaryCaller } from '../../../gateway/upstream/traffic-split.ts'
import { type UpstreamConfig, upstreamSchema } from '../../../gateway/upstream/upstream-config.ts'
import { Code } from '../../../runtime/status.ts'
import { type Responder, startUpstream } from '../../support/echo-upstream.ts'
import { echo, rejectionOf, waitUntil } from '../../support/grpc-peers/peer-calls.ts'
import { type Scripted, startScriptedPeer } from '../../support/grpc-peers/scripted-peer.ts'
import { buildService, methodSource } from '../../support/service-contract.ts'

const shop = buildService('shop.v1.Shop', {
  methods: [
    methodSource('Get', '(Item) returns (Item)', 'get: "/v1/items/{id}"', 'access: ACCESS_OPTIONAL'),
    methodSource('Watch', '(Item) returns (stream Item)', 'get: "/v1/items/{id}:watch"', 'access: ACCESS_PUBLIC'),
  ],
  messages: 'message Item { string id = 1; }',
})
const service = shop.contract.getService(shop.service)
if (service === undefined) throw new Error('no service')

const entryOf = (fields: object): UpstreamConfig =>
  upstreamSchema.parse({ name: 'shop', contract: 'x', services: ['x'], ...fields })

function openConnections() {
  const metrics = createGatewayMetrics()
  const lines: Record<string, unknown>[] = []
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const connections = createConnections({ file: 'gateway.yaml', logger, eventsOf: metrics.upstream })
  metrics.watch.upstreams(connections.states)
  return { connections, metrics, lines }
}

function lease(t: Test, fields: object) {
  const opened = openConnections()
  const connection = opened.connections.lease(entryOf(fields))
  t.teardown(() => connection.release())
  return { ...opened, connection }
}

async function sumOf(metrics: GatewayMetrics, name: string, labels: Record<string, string> = {}) {
  const { values = [] } = (await metrics.snapshot()).find(metric => metric.name === name) ?? {}
  const found = values.filter(value => Object.entries(labels).every(([key, text]) => value.labels[key] === text))
  return found.reduce((sum, { value }) => sum + value, 0)
}

/** A shop whose calls for the item `hold` wait until they are released. */
async function startShop(t: Test, marker: string) {
  const released = Promise.withResolvers<void>()
  const respond: Responder = ({ method, message, signal }) => {
    const { id } = message as unknown as { id: string }
    const ended = Promise.race([released.promise, new Promise(resolve => signal.addEventListener('abort', resolve))])
    const marked = { ...message, id: `${marker}:${id}` }
    if (method === 'Get') return id === 'hold' ? ended.then(() => marked) : marked
    return (async function* () {
      yield marked
      await ended
    })()
  }
  const upstream = await startUpstream([service as never], respond)
  t.teardown(() => upstream.close())
  return { ...upstream, release: () => released.resolve() }
}

async function startGateway(t: Test, connection: ConnectionLease) {
  return shop.start(t, ({ message }) => message, { connection, trustedProxies: ['loopback'] })
}

async function ready(connection: ConnectionLease): Promise<void> {
  await waitUntil(() => connection.transport.state().connections > 0)
  await waitUntil(() => connection.canary === undefined || connection.canary.transport.state().connections > 0)
}

t.test('beyond maxCalls, a call is 503 upstream_overloaded at once, and the others finish', async t => {
  const upstream = await startShop(t, 'a')
  const { connection, metrics } = lease(t, { address: upstream.address, circuitBreaker: { maxCalls: 3 } })
  const { call } = await startGateway(t, connection)
  const held = [1, 2, 3].map(() => call('/v1/items/hold'))
  await waitUntil(() => upstream.received.length === 3)
  t.equal(await sumOf(metrics, 'upstream_calls_in_progress', { upstream: 'shop' }), 3)
  const rejected = await call('/v1/items/1')
  t.equal(rejected.status, 503)
  t.match(await rejected.json(), { code: 'upstream_overloaded' })
  t.equal(rejected.headers.get('retry-after'), '1')
  t.equal(rejected.headers.get('proxy-status'), 'gatehouse; error=connection_limit_reached')
  t.equal(await sumOf(metrics, 'upstream_overloads_total', { upstream: 'shop' }), 1)
  upstream.release()
  t.strictSame(
    (await Promise.all(held)).map(({ status }) => status),
    [200, 200, 200],
  )
  t.equal((await call('/v1/items/1')).status, 200)
  t.equal(await sumOf(metrics, 'upstream_calls_in_progress'), 0)
})

t.test('streams have a limit of their own', async t => {
  const upstream = await startShop(t, 'a')
  const { connection } = lease(t, { address: upstream.address, circuitBreaker: { maxCalls: 1, maxStreams: 1 } })
  const { call } = await startGateway(t, connection)
  const stream = await call('/v1/items/1:watch')
  t.equal(stream.status, 200)
  t.equal((await call('/v1/items/1:watch')).status, 503)
  t.equal((await call('/v1/items/1')).status, 200, 'calls are not affected')
  await stream.body?.cancel()
  await waitUntil(async () => {
    const next = await call('/v1/items/1:watch')
    await next.body?.cancel()
    return next.status === 200
  })
})

t.test('calls in progress of an old configuration count against the limit of the new one', async t => {
  const upstream = await startShop(t, 'a')
  const { connections } = openConnections()
  const old = connections.lease(entryOf({ address: upstream.address }))
  const current = connections.lease(entryOf({ address: upstream.address, circuitBreaker: { maxCalls: 1 } }))
  t.teardown(() => Promise.all([old.release(), current.release()]))
  t.equal(old.transport, current.transport, 'the connections are shared')
  old.breaker.startCall()
  t.throws(() => current.breaker.startCall(), { reason: 'upstream_overloaded' } as never)
  old.breaker.endCall()
  t.doesNotThrow(() => current.breaker.startCall())
})

t.test('the canary gets the calls of a share of the callers, always of the same ones', async t => {
  const [stable, canary] = [await startShop(t, 'stable'), await startShop(t, 'canary')]
  const { connection } = lease(t, { address: stable.address, canary: { address: canary.address, percent: 30 } })
  await ready(connection)
  const { call, mint, metrics } = await startGateway(t, connection)
  const targetOf = async (headers: Record<string, string>) => {
    const { id } = (await (await call('/v1/items/1', { headers })).json()) as { id: string }
    return id.split(':')[0]
  }
  const callers = [
    ...Array.from({ length: 60 }, (_, n) => ({ 'x-forwarded-for': `192.0.2.${n}` })),
    ...Array.from({ length: 60 }, () => ({ authorization: `Bearer ${mint.access({})}` })),
  ] as Record<string, string>[]
  const targets = new Map<Record<string, string>, string | undefined>()
  for (const caller of callers) targets.set(caller, await targetOf(caller))
  const selected = [...targets.values()].filter(target => target === 'canary').length
  t.ok(selected > 10 && selected < 70, `${selected} of 120`)
  for (const caller of callers) t.equal(await targetOf(caller), targets.get(caller))
  const count = await sumOf(metrics, 'rpc_client_requests_total', { upstream: 'shop/canary' })
  t.equal(count, canary.received.length)

  const user = callers.at(-1) as Record<string, string>
  for (let n = 0; n < 10; n++) {
    t.equal(await targetOf({ ...user, 'x-forwarded-for': `203.0.113.${n}` }), targets.get(user), 'the user decides')
  }
  const anonymous = callers.find(caller => targets.get(caller) === 'canary' && caller['x-forwarded-for'] !== undefined)
  const stream = await call('/v1/items/1:watch', { headers: anonymous ?? {} })
  const chunk = await stream.body?.getReader().read()
  t.match(Buffer.from(chunk?.value ?? []).toString(), /canary:1/, 'streams follow')
})

t.test('callers of a canary that is unreachable get the other address', async t => {
  const [stable, canary] = [await startShop(t, 'stable'), await startShop(t, 'canary')]
  const { connection } = lease(t, { address: stable.address, canary: { address: canary.address, percent: 100 } })
  await ready(connection)
  const { call } = await startGateway(t, connection)
  const target = async () => ((await (await call('/v1/items/1')).json()) as { id: string }).id
  t.equal(await target(), 'canary:1')
  canary.close()
  await waitUntil(() => connection.canary?.transport.state().connections === 0)
  t.equal(await target(), 'stable:1')
})

t.test('the share of the canary: near its percentage, growing with it, different for each upstream', async t => {
  const callers = Array.from({ length: 20_000 }, (_, n) => `10.${n >> 8}.${n & 255}.7`)
  const select = (percent: number, upstream = 'shop') =>
    new Set(callers.filter(caller => isCanaryCaller(caller, percent, upstream)))
  for (const percent of [0, 0.5, 5, 50, 100]) {
    const share = (100 * select(percent).size) / callers.length
    t.ok(Math.abs(share - percent) <= 1.5, `${share} % of ${percent} %`)
  }
  t.ok(select(5).isSubsetOf(select(20)), 'a caller that is selected stays selected')
  const both = select(50).intersection(select(50, 'search')).size / callers.length
  t.ok(Math.abs(both - 0.25) < 0.02, `${both} of the callers have both canaries`)
})

const UNAVAILABLE: Scripted = { code: Code.UNAVAILABLE }

t.test('an address stays ejected when the connection settings change; its record ends with the upstream', async t => {
  const [bad, good] = [await startScriptedPeer(() => UNAVAILABLE), await startScriptedPeer(() => Buffer.from('ok'))]
  t.teardown(() => {
    bad.stop()
    good.stop()
  })
  const { connections, metrics, lines } = openConnections()
  const fields = {
    address: `${bad.address},${good.address}`,
    retries: false,
    ejection: { consecutiveFailures: 3, baseMs: 600_000 },
  }
  const old = connections.lease(entryOf(fields))
  await waitUntil(() => old.transport.state().connections === 2)
  for (let call = 0; call < 6; call++) await echo(old.transport).catch(() => {})
  t.match(lines, [{ upstream: 'shop', address: bad.address, durationMs: 600_000 }])
  t.equal(await sumOf(metrics, 'upstream_ejections_total', { outcome: 'ejected' }), 1)
  t.equal(await sumOf(metrics, 'upstream_ejected_addresses', { upstream: 'shop' }), 1)

  const changed = connections.lease(entryOf({ ...fields, maxMessageLength: 1000 }))
  t.not(changed.transport, old.transport)
  await old.release()
  // Until the other address is connected, the ejected one may be the only one.
  const goodBefore = good.received.length
  await waitUntil(async () => {
    await echo(changed.transport).catch(() => {})
    return good.received.length > goodBefore
  })
  const before = bad.received.length
  for (let call = 0; call < 10; call++) await echo(changed.transport)
  t.equal(bad.received.length, before)
  await changed.release()
  t.strictSame(connections.states(), [])
})

t.test('retries of one upstream share a budget, whatever the configuration, and are counted', async t => {
  const peer = await startScriptedPeer(() => UNAVAILABLE)
  t.teardown(() => peer.stop())
  const { connections, metrics } = openConnections()
  const retries = { maxTokens: 4, initialBackoffMs: 1, maxBackoffMs: 1 }
  const old = connections.lease(entryOf({ address: peer.address, retries }))
  const policy = callPolicy(true, false)
  await rejectionOf(echo(old.transport, { policy }))
  const changed = connections.lease(entryOf({ address: peer.address, retries: { ...retries, maxBackoffMs: 2 } }))
  await rejectionOf(echo(changed.transport, { policy }))
  t.equal(peer.received.length, 3, 'one retry with the old settings, none with the new ones')
  t.equal(await sumOf(metrics, 'upstream_retries_total', { upstream: 'shop', outcome: 'sent' }), 1)
  t.equal(await sumOf(metrics, 'upstream_retries_total', { upstream: 'shop', outcome: 'throttled' }), 2)
  await Promise.all([old.release(), changed.release()])
})

t.test('an entry with transport grpc-js cannot have retries, ejection or a canary', async t => {
  for (const fields of [{ retries: {} }, { ejection: {} }, { canary: { address: 'a:1', percent: 1 } }]) {
    t.throws(() => entryOf({ address: 'a:1', transport: 'grpc-js', ...fields }), /requires transport http2/)
  }
  t.doesNotThrow(() => entryOf({ address: 'a:1', transport: 'grpc-js', retries: false, ejection: false }))
})

t.test('an upstream that hangs does not delay the calls of another one', async t => {
  const [hanging, healthy] = [await startShop(t, 'hanging'), await startShop(t, 'healthy')]
  const slow = lease(t, { name: 'slow', address: hanging.address, circuitBreaker: { maxCalls: 50 } }).connection
  const fast = lease(t, { name: 'fast', address: healthy.address }).connection
  const [slowGateway, fastGateway] = [await startGateway(t, slow), await startGateway(t, fast)]
  const held = Array.from({ length: 200 }, () => slowGateway.call('/v1/items/hold').then(({ status }) => status))
  await waitUntil(() => hanging.received.length === 50)
  const times: number[] = []
  for (let call = 0; call < 100; call++) {
    const startedAt = performance.now()
    t.equal((await fastGateway.call('/v1/items/1')).status, 200)
    times.push(performance.now() - startedAt)
    await delay(0)
  }
  const p99 = times.toSorted((a, b) => a - b)[98] ?? Infinity
  t.comment(`p99 ${p99.toFixed(1)} ms`)
  t.ok(p99 < 1000, `p99 ${p99} ms; a call of the other upstream takes 2000 ms`)
  hanging.release()
  const statuses = await Promise.all(held)
  t.ok(statuses.filter(status => status === 503).length >= 150, 'the calls beyond the limit were rejected')
})
