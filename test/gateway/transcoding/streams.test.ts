import { once } from 'node:events'
import http from 'node:http'
import { create, type DescMessage } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { Code, StatusError, unavailable } from '#runtime/status.ts'
import { buildContract } from '../../support/contract.ts'
import type { Responder } from '../../support/echo-upstream.ts'
import { startTestGateway } from '../../support/test-gateway.ts'
import { until } from '../../support/until.ts'

const contract = buildContract({
  'feed/v1/feed.proto': `
    syntax = "proto3";
    package feed.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";

    service FeedService {
      rpc Follow(FollowRequest) returns (stream Entry) {
        option (google.api.http) = { get: "/v1/feeds/{name}" };
        option (edge.v1.policy) = { access: ACCESS_OPTIONAL };
      }
      rpc Brief(FollowRequest) returns (stream Entry) {
        option (google.api.http) = { get: "/v1/brief/{name}" };
        option (edge.v1.policy) = { access: ACCESS_USER timeout: { nanos: 300000000 } };
      }
    }
    message FollowRequest { string name = 1; int32 count = 2 [(edge.v1.rules) = { min: 0 max: 100000 }]; }
    message Entry { int32 number = 1; string text = 2; }
  `,
})
const Entry = contract.getMessage('feed.v1.Entry') as DescMessage
const entry = (number: number, text = '') => create(Entry, { number, text } as Record<string, unknown>)
const start = (t: Test, respond: Responder) =>
  startTestGateway(t, { contract, service: 'feed.v1.FeedService', respond })
const countOf = (message: object) => (message as { count: number }).count

const counted: Responder = async function* ({ message }) {
  for (let number = 0; number < countOf(message); number++) yield entry(number, 'line\nbreak')
}

/** One that never ends by itself. */
const endless: Responder = async function* ({ signal }) {
  yield entry(0)
  await once(signal, 'abort')
}

const gone = (gateway: Awaited<ReturnType<typeof start>>) =>
  until(
    async () => gateway.streams.size,
    size => size === 0,
  )

t.test('a stream is a line of JSON for each message, whole and in order', async t => {
  const gateway = await start(t, counted)
  const response = await gateway.call('/v1/feeds/a?count=5000')
  t.equal(response.status, 200)
  t.equal(response.headers.get('content-type'), 'application/x-ndjson; charset=utf-8')
  t.equal(response.headers.get('cache-control'), 'no-store')
  const lines = (await response.text()).trimEnd().split('\n')
  t.equal(lines.length, 5000)
  t.ok(lines.every((line, number) => JSON.parse(line).number === number))
  t.same(JSON.parse(lines[7] ?? ''), { number: 7, text: 'line\nbreak' })
  await gone(gateway)
  t.match(gateway.upstream.received[0]?.message, { name: 'a' })
  t.match(gateway.state.lines.at(-1), { route: '/v1/feeds/{name}', status: 200 })
})

t.test('a browser gets events', async t => {
  const { call } = await start(t, counted)
  const response = await call('/v1/feeds/a?count=2', { headers: { accept: 'text/event-stream' } })
  t.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  const text = 'line\\nbreak'
  t.equal(await response.text(), `data: {"number":0,"text":"${text}"}\n\ndata: {"number":1,"text":"${text}"}\n\n`)
})

t.test('a stream without a message is an empty body', async t => {
  const { call } = await start(t, counted)
  const response = await call('/v1/feeds/a')
  t.equal(response.status, 200)
  t.equal(await response.text(), '')
})

t.test('what fails before the first message is answered as any call is', async t => {
  const gateway = await start(t, async function* () {
    yield* []
    throw new StatusError(Code.NOT_FOUND, 'There is no such feed', { reason: 'not_found' })
  })
  const response = await gateway.call('/v1/feeds/a')
  t.equal(response.status, 404)
  t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
  t.match(await response.json(), { code: 'not_found', instance: '/v1/feeds/a' })
  t.equal((await gateway.call('/v1/feeds/a?count=-1')).status, 400)
  t.equal((await gateway.call('/v1/brief/a')).status, 401)
})

t.test('what fails later is the last thing of the body, and says nothing of our own', async t => {
  for (const [error, problem] of [
    [unavailable('Away'), { status: 503, code: 'unavailable' }],
    [new Error('secret'), { status: 500, code: 'internal' }],
  ] as const) {
    const { call, state } = await start(t, async function* () {
      yield entry(1)
      throw error
    })
    const lines = (await (await call('/v1/feeds/a')).text()).trimEnd().split('\n')
    t.same(JSON.parse(lines[0] ?? ''), { number: 1, text: '' })
    t.match(JSON.parse(lines[1] ?? ''), { error: { ...problem, instance: '/v1/feeds/a', trace_id: String } })
    t.equal(lines.length, 2)
    t.notMatch(lines.join(), 'secret')
    const events = await (await call('/v1/feeds/a', { headers: { accept: 'text/event-stream' } })).text()
    t.match(events, new RegExp(`event: error\\ndata: \\{.*"code":"${problem.code}".*\\}\\n\\n$`))
    await until(
      async () => state.lines.filter(line => line['msg'] === 'request').length,
      count => count === 2,
    )
    t.match(
      state.lines.find(line => line['msg'] === 'request'),
      { status: 200, rpc_code: Code[error instanceof StatusError ? error.code : Code.INTERNAL] },
    )
  }
})

t.test('a client that leaves cancels the call', async t => {
  const cancelled = Promise.withResolvers<void>()
  const gateway = await start(t, async function* ({ signal }) {
    yield entry(0)
    await once(signal, 'abort')
    cancelled.resolve()
  })
  const controller = new AbortController()
  const response = await gateway.call('/v1/feeds/a', { signal: controller.signal })
  await response.body?.getReader().read()
  t.equal(gateway.streams.size, 1)
  controller.abort()
  await cancelled.promise
  await gone(gateway)
  await until(
    async () => gateway.state.lines.at(-1),
    line => line?.['msg'] === 'request',
  )
  t.match(gateway.state.lines.at(-1), { rpc_code: 'CANCELLED', aborted: true })
})

t.test('a client that does not read stops the upstream, and gets all when it reads on', async t => {
  let made = 0
  const total = 6000
  const gateway = await start(t, async function* () {
    for (; made < total; made++) yield entry(made, 'x'.repeat(3000))
  })
  const request = http.get({ port: gateway.port, path: '/v1/feeds/a', agent: false })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  response.pause()
  let before = -1
  await until(
    async () => {
      const isStill = made === before
      before = made
      return isStill && made > 0
    },
    isStill => isStill,
    { everyMs: 300 },
  )
  t.ok(made < total, `${made} of ${total} were made`)
  let bytes = 0
  for await (const chunk of response) bytes += chunk.length
  t.ok(bytes > total * 3000)
  t.equal(made, total)
  await gone(gateway)
})

t.test('a stream that has nothing to say yet has its head after a second', async t => {
  const gateway = await start(t, async function* ({ signal }) {
    await once(signal, 'abort')
    yield entry(0)
  })
  const controller = new AbortController()
  const response = await gateway.call('/v1/feeds/a', { signal: controller.signal })
  t.equal(response.status, 200)
  controller.abort()
  await gone(gateway)
})

t.test('a stream ends with its method’s timeout', async t => {
  const gateway = await start(t, endless)
  const headers = { authorization: `Bearer ${gateway.mint.access({})}` }
  const text = await (await gateway.call('/v1/brief/a', { headers })).text()
  t.match(JSON.parse(text.trimEnd().split('\n').at(-1) ?? ''), { error: { status: 504, code: 'deadline_exceeded' } })
  await gone(gateway)
})

t.test('a gateway that stops lets streams come to their end, and ends the others with a word', async t => {
  const gateway = await start(t, ({ message, ...call }) =>
    countOf(message) > 0 ? counted({ message, ...call }) : endless({ message, ...call }),
  )
  const endlessly = await gateway.call('/v1/feeds/a')
  const ending = await gateway.call('/v1/feeds/a?count=3')
  const stopped = gateway.openStreams.end(200)
  t.equal((await ending.text()).trimEnd().split('\n').length, 3)
  const lines = (await endlessly.text()).trimEnd().split('\n')
  t.match(JSON.parse(lines.at(-1) ?? ''), {
    error: { status: 503, code: 'unavailable', detail: /Open the stream again/ },
  })
  await stopped
  const late = await gateway.call('/v1/feeds/a')
  t.equal(late.status, 503, 'one that comes later is not begun')
  await late.text()
  await gone(gateway)
})

t.test('HEAD opens no stream', async t => {
  const gateway = await start(t, endless)
  const response = await gateway.call('/v1/feeds/a', { method: 'HEAD' })
  t.equal(response.status, 200)
  t.equal(response.headers.get('content-type'), 'application/x-ndjson; charset=utf-8')
  t.equal(gateway.upstream.received.length, 0)
})

t.test('how many are open is a metric', async t => {
  const gateway = await start(t, endless)
  const value = async () => {
    const metric = (await gateway.metrics.snapshot()).find(({ name }) => name === 'upstream_streams_open')
    return metric?.values[0]?.value
  }
  const controllers = [new AbortController(), new AbortController()]
  for (const { signal } of controllers) await gateway.call('/v1/feeds/a', { signal })
  t.equal(await value(), 2)
  for (const controller of controllers) controller.abort()
  await until(value, open => open === 0)
})
