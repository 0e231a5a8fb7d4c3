/** The deadline of a client, in Request-Timeout or grpc-timeout. */
import { create } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { buildService, methodSource } from '../../support/service-contract.ts'

const shop = buildService('shop.v1.Shop', {
  methods: [
    methodSource(
      'Get',
      '(Item) returns (Item)',
      'get: "/v1/items/{id}"',
      'access: ACCESS_PUBLIC timeout: {seconds: 5}',
    ),
    methodSource('Watch', '(Item) returns (stream Item)', 'get: "/v1/items/{id}:watch"'),
  ],
  messages: 'message Item { string id = 1; }',
})

async function start(t: Test, serverTiming = false) {
  const calls: { timeoutMs: number }[] = []
  const gateway = await shop.start(
    t,
    ({ method, message, signal, timeoutMs }) => {
      calls.push({ timeoutMs })
      const { id } = message as unknown as { id: string }
      const wait = () => new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
      if (method === 'Get') return id === 'slow' ? wait().then(() => message) : message
      return (async function* () {
        yield create(shop.message('Item'), { id: 'first' } as never)
        await wait()
      })()
    },
    { serverTiming },
  )
  const outcomes = async () => {
    const snapshot = await gateway.metrics.snapshot()
    const { values = [] } = snapshot.find(({ name }) => name === 'client_deadlines_total') ?? {}
    return Object.fromEntries(values.map(({ labels, value }) => [labels['outcome'], value]))
  }
  return { ...gateway, calls, outcomes }
}

t.test('the deadline of the client ends a call, if it is earlier than that of the policy', async t => {
  const { call, outcomes } = await start(t)
  const response = await call('/v1/items/slow', { headers: { 'request-timeout': '0.2' } })
  t.equal(response.status, 504)
  t.equal(response.headers.get('proxy-status'), 'gatehouse; error=http_response_timeout')
  t.match(await response.json(), { code: 'deadline_exceeded' })
  t.strictSame(await outcomes(), { applied: 1 })
})

t.test('the upstream gets the earlier deadline, never one later than that of the policy', async t => {
  const { call, calls, outcomes } = await start(t)
  for (const headers of [{ 'grpc-timeout': '3S' }, { 'request-timeout': '60' }, {}] as Record<string, string>[]) {
    t.equal((await call('/v1/items/1', { headers })).status, 200)
  }
  const [shorter = 0, longer = 0, none = 0] = calls.map(({ timeoutMs }) => timeoutMs)
  t.ok(shorter > 0 && shorter <= 3000, `${shorter} ms`)
  t.ok(longer > 3000 && longer <= 5001, `${longer} ms`)
  t.ok(none > 3000 && none <= 5001, `${none} ms`)
  t.strictSame(await outcomes(), { applied: 1, longer: 1 })
})

t.test('a malformed deadline is 400 and names the header; the upstream gets no call', async t => {
  const { call, calls, outcomes } = await start(t)
  const headers = { 'request-timeout': 'soon', 'grpc-timeout': '0S' }
  const response = await call('/v1/items/1', { headers })
  t.equal(response.status, 400)
  t.match(await response.json(), {
    code: 'invalid_argument',
    errors: [{ field: 'Request-Timeout' }, { field: 'grpc-timeout' }],
  })
  const stream = await call('/v1/items/1:watch', { headers })
  t.equal(stream.status, 400)
  await stream.body?.cancel()
  t.strictSame([calls.length, await outcomes()], [0, { malformed: 2 }])
})

t.test('a deadline of the client ends a stream', async t => {
  const { call } = await start(t)
  const response = await call('/v1/items/1:watch', { headers: { 'request-timeout': '0.5' } })
  const lines = (await response.text()).trim().split('\n')
  t.match(JSON.parse(lines.at(-1) ?? ''), { error: { code: 'deadline_exceeded' } })
})

t.test('Server-Timing has the total time and that of the upstream, by setting only', async t => {
  const on = await start(t, true)
  const timing = (await on.call('/v1/items/1')).headers.get('server-timing') ?? ''
  const [, total, upstream] = /^total;dur=([\d.]+), upstream;dur=([\d.]+)$/.exec(timing) ?? []
  t.ok(Number(upstream) > 0 && Number(upstream) <= Number(total), timing)
  t.match((await on.call('/v1/unknown')).headers.get('server-timing'), /^total;dur=[\d.]+$/)
  const off = await start(t)
  t.equal((await off.call('/v1/items/1')).headers.get('server-timing'), null)
})
