import { once } from 'node:events'
import http from 'node:http'
import { create } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { Code, StatusError, unavailable } from '#runtime/status.ts'
import type { Responder } from '../../support/echo-upstream.ts'
import { buildService, methodSource } from '../../support/service-contract.ts'
import { until } from '../../support/until.ts'

const service = buildService('feed.v1.FeedService', {
  methods: [
    methodSource(
      'Follow',
      '(FollowRequest) returns (stream Entry)',
      'get: "/v1/feeds/{name}"',
      'access: ACCESS_OPTIONAL',
    ),
    methodSource(
      'Brief',
      '(FollowRequest) returns (stream Entry)',
      'get: "/v1/brief/{name}"',
      'access: ACCESS_USER timeout: { nanos: 300000000 }',
    ),
  ],
  messages: `
    message FollowRequest { string name = 1; int32 count = 2 [(edge.v1.rules) = { min: 0 max: 100000 }]; }
    message Entry { int32 number = 1; string text = 2; }
  `,
})
const entry = (number: number, text = '') =>
  create(service.message('Entry'), { number, text } as Record<string, unknown>)
const start = (t: Test, respond: Responder) => service.start(t, respond)
const countOf = (message: object) => (message as { count: number }).count

const counted: Responder = async function* ({ message }) {
  for (let number = 0; number < countOf(message); number++) yield entry(number, 'line\nbreak')
}

/** Sends one message, and ends only when it is cancelled. */
const endless: Responder = async function* ({ signal }) {
  yield entry(0)
  await once(signal, 'abort')
}

const untilNoneOpen = (gateway: Awaited<ReturnType<typeof start>>) =>
  until(
    async () => gateway.streams.size,
    size => size === 0,
  )

t.test('a stream is sent as NDJSON, one line per message, complete and in order', async t => {
  const gateway = await start(t, counted)
  const response = await gateway.call('/v1/feeds/a?count=5000')
  t.equal(response.status, 200)
  t.equal(response.headers.get('content-type'), 'application/x-ndjson; charset=utf-8')
  t.equal(response.headers.get('cache-control'), 'no-store')
  const lines = (await response.text()).trimEnd().split('\n')
  t.equal(lines.length, 5000)
  t.ok(lines.every((line, number) => JSON.parse(line).number === number))
  t.same(JSON.parse(lines[7] ?? ''), { number: 7, text: 'line\nbreak' })
  await untilNoneOpen(gateway)
  t.match(gateway.upstream.received[0]?.message, { name: 'a' })
  t.match(gateway.state.lines.at(-1), { route: '/v1/feeds/{name}', status: 200 })
})

t.test('a client that accepts text/event-stream receives server-sent events', async t => {
  const { call } = await start(t, counted)
  const response = await call('/v1/feeds/a?count=2', { headers: { accept: 'text/event-stream' } })
  t.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  const text = 'line\\nbreak'
  t.equal(await response.text(), `data: {"number":0,"text":"${text}"}\n\ndata: {"number":1,"text":"${text}"}\n\n`)
})

t.test('a stream without messages has an empty body', async t => {
  const { call } = await start(t, counted)
  const response = await call('/v1/feeds/a')
  t.equal(response.status, 200)
  t.equal(await response.text(), '')
})

t.test('a stream that fails before its first message gets an ordinary error response', async t => {
  const gateway = await start(t, async function* () {
    yield* []
    throw new StatusError(Code.NOT_FOUND, 'The feed does not exist', { reason: 'not_found' })
  })
  const response = await gateway.call('/v1/feeds/a')
  t.equal(response.status, 404)
  t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
  t.match(await response.json(), { code: 'not_found', instance: '/v1/feeds/a' })
  t.equal((await gateway.call('/v1/feeds/a?count=-1')).status, 400)
  t.equal((await gateway.call('/v1/brief/a')).status, 401)
})

t.test('an error after the first message is the last item of the body and reveals no internal text', async t => {
  for (const [error, problem] of [
    [unavailable('Busy'), { status: 503, code: 'unavailable' }],
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

t.test('a client that disconnects cancels the upstream stream', async t => {
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
  await untilNoneOpen(gateway)
  await until(
    async () => gateway.state.lines.at(-1),
    line => line?.['msg'] === 'request',
  )
  t.match(gateway.state.lines.at(-1), { rpc_code: 'CANCELLED', aborted: true })
})

t.test('a client that stops reading pauses the upstream, and receives every message when it resumes', async t => {
  let sent = 0
  const total = 6000
  const gateway = await start(t, async function* () {
    for (; sent < total; sent++) yield entry(sent, 'x'.repeat(3000))
  })
  const request = http.get({ port: gateway.port, path: '/v1/feeds/a', agent: false })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  response.pause()
  let previous = -1
  await until(
    async () => {
      const isPaused = sent === previous && sent > 0
      previous = sent
      return isPaused
    },
    isPaused => isPaused,
    { everyMs: 300 },
  )
  t.ok(sent < total, `${sent} of ${total} messages were sent`)
  let bytes = 0
  for await (const chunk of response) bytes += chunk.length
  t.ok(bytes > total * 3000)
  t.equal(sent, total)
  await untilNoneOpen(gateway)
})

t.test('the headers of an idle stream are sent after one second', async t => {
  const gateway = await start(t, async function* ({ signal }) {
    await once(signal, 'abort')
    yield entry(0)
  })
  const controller = new AbortController()
  const response = await gateway.call('/v1/feeds/a', { signal: controller.signal })
  t.equal(response.status, 200)
  controller.abort()
  await untilNoneOpen(gateway)
})

t.test('a stream ends at the timeout of its method', async t => {
  const gateway = await start(t, endless)
  const headers = { authorization: `Bearer ${gateway.mint.access({})}` }
  const text = await (await gateway.call('/v1/brief/a', { headers })).text()
  t.match(JSON.parse(text.trimEnd().split('\n').at(-1) ?? ''), { error: { status: 504, code: 'deadline_exceeded' } })
  await untilNoneOpen(gateway)
})

t.test('a shutdown waits for streams to end, then ends the remaining ones with an error item', async t => {
  const gateway = await start(t, ({ message, ...call }) =>
    countOf(message) > 0 ? counted({ message, ...call }) : endless({ message, ...call }),
  )
  const endlessResponse = await gateway.call('/v1/feeds/a')
  const finiteResponse = await gateway.call('/v1/feeds/a?count=3')
  const ended = gateway.openStreams.end(200)
  t.equal((await finiteResponse.text()).trimEnd().split('\n').length, 3)
  const lines = (await endlessResponse.text()).trimEnd().split('\n')
  t.match(JSON.parse(lines.at(-1) ?? ''), {
    error: { status: 503, code: 'unavailable', detail: /Open the stream again/ },
  })
  await ended
  const late = await gateway.call('/v1/feeds/a')
  t.equal(late.status, 503, 'a stream opened after the shutdown is rejected')
  await late.text()
  await untilNoneOpen(gateway)
})

t.test('HEAD returns the headers and opens no stream', async t => {
  const gateway = await start(t, endless)
  const response = await gateway.call('/v1/feeds/a', { method: 'HEAD' })
  t.equal(response.status, 200)
  t.equal(response.headers.get('content-type'), 'application/x-ndjson; charset=utf-8')
  t.equal(gateway.upstream.received.length, 0)
})

t.test('upstream_streams_open is the number of open streams', async t => {
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

t.test('the streams of an anonymous caller are counted by address, and an ended stream is not counted', async t => {
  const gateway = await service.start(t, endless, { streamsPerCaller: 2 })
  const open = (headers: Record<string, string> = {}) => {
    const controller = new AbortController()
    return { controller, response: gateway.call('/v1/feeds/a', { signal: controller.signal, headers }) }
  }
  const [first, second] = [open(), open()]
  t.equal((await first.response).status, 200)
  t.equal((await second.response).status, 200)
  const refused = await open().response
  t.equal(refused.status, 429)
  t.match(await refused.json(), { code: 'too_many_streams', detail: /at most 2/ })
  const authorization = `Bearer ${gateway.mint.access({})}`
  const signedIn = open({ authorization })
  t.equal((await signedIn.response).status, 200, 'a user is another caller than the address')

  for (const { controller } of [first, second, signedIn]) controller.abort()
  await untilNoneOpen(gateway)
  const third = open()
  t.equal((await third.response).status, 200)
  third.controller.abort()
})

t.test('a stream that fails at once is not counted after its response', async t => {
  const failing: Responder = async function* () {
    if (Date.now() > 0) throw unavailable('not today')
    yield entry(0)
  }
  const gateway = await service.start(t, failing, { streamsPerCaller: 1 })
  for (let attempt = 0; attempt < 3; attempt++) {
    const response = await gateway.call('/v1/feeds/a')
    await response.text()
    t.equal(response.status, 503)
  }
})
