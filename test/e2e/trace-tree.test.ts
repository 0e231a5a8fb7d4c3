/** The spans that a collector receives of requests through the three services. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts'
import { getMe, login, PASSWORD, refresh, request, type SignedIn, uniqueEmail } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'

const hex = (bytes: number) => randomBytes(bytes).toString('hex')
const client = { traceId: hex(16), spanId: hex(8) }
// The flag is `not sampled`. The tracestate has the optional whitespace and empty member of the W3C grammar.
const headers = { traceparent: `00-${client.traceId}-${client.spanId}-00`, tracestate: 'rojo=00f0 67aa , 1congo=t61r,' }

/** Sends one request of each kind and stops the services, so that all spans are exported. */
async function trace(sampleRatio: string) {
  const receiver = await startOtlpReceiver(t)
  const ratios = { TRACE_SAMPLE_RATIO: sampleRatio, TRACE_ERROR_SAMPLE_RATIO: sampleRatio }
  const env = { ...ratios, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }
  const system = await startSystem(t, { env })
  const body = { email: uniqueEmail(), password: PASSWORD, name: 'Ada', tokenDelivery: 'body' }
  const signUp = await request('POST', `${system.url}/v1/auth/signup`, { body, headers })
  const { accessToken, refreshToken } = signUp.body as SignedIn
  const responses = {
    signUp,
    me: await getMe(system.url, accessToken),
    refresh: await refresh(system.url, refreshToken),
    unknown: await request('GET', `${system.url}/v1/nowhere?secret=hunter2&b`),
    stranger: await login(system.url, body.email, 'some other password'),
  }
  const processes = [system.gateway, system.authSvc, system.userSvc]
  await Promise.all(processes.map(process => process.stop()))
  const traceIdOf = (name: keyof typeof responses) => responses[name].headers.get('traceresponse')?.split('-')[1] ?? ''
  return {
    receiver,
    responses,
    entries: processes.flatMap(({ entries }) => entries),
    traceIdOf,
    spansOf: (name: keyof typeof responses) => receiver.spans.filter(({ traceId }) => traceId === traceIdOf(name)),
  }
}

const parentOf = (span: ReceivedSpan, spans: readonly ReceivedSpan[]) =>
  spans.find(({ spanId }) => spanId === span.parentSpanId)

/** Returns the spans from the root to this one, as `service KIND name`. */
function pathTo(span: ReceivedSpan | undefined, spans: readonly ReceivedSpan[]): string[] {
  if (span === undefined) return []
  const line = `${span.service} ${span.kind.replace('SPAN_KIND_', '')} ${span.name}`
  return [...pathTo(parentOf(span, spans), spans), line]
}

t.test('with a sample ratio of 1, every request is traced', async t => {
  const { receiver, responses, traceIdOf, spansOf, entries } = await trace('1')
  const named = (name: keyof typeof responses, wanted: string, service?: string) =>
    spansOf(name).find(span => span.name === wanted && span.service === (service ?? span.service))

  t.test('the spans of a request form one tree from the gateway to the SQL statement and the Redis script', async t => {
    const spans = spansOf('me')
    t.strictSame(pathTo(named('me', 'SELECT users'), spans), [
      'gateway SERVER GET /v1/users/me',
      'gateway CLIENT user.v1.UserService/GetMe',
      'user-svc SERVER user.v1.UserService/GetMe',
      'user-svc CLIENT SELECT users',
    ])
    t.strictSame(pathTo(named('me', 'EVALSHA takeTokens'), spans), [
      'gateway SERVER GET /v1/users/me',
      'gateway CLIENT EVALSHA takeTokens',
    ])
    t.equal(spans.length, 5)
  })

  t.test('the tree contains calls between services and the statements of transactions', async t => {
    const spans = spansOf('signUp')
    const service = [
      'gateway SERVER POST /v1/auth/signup',
      'gateway CLIENT auth.v1.AuthService/SignUp',
      'auth-svc SERVER auth.v1.AuthService/SignUp',
    ]
    t.strictSame(pathTo(named('signUp', 'INSERT users'), spans), [
      ...service,
      'auth-svc CLIENT user.v1.AccountService/CreateAccount',
      'user-svc SERVER user.v1.AccountService/CreateAccount',
      'user-svc CLIENT INSERT users',
    ])
    for (const name of ['BEGIN', 'INSERT accounts', 'COMMIT']) {
      t.strictSame(pathTo(named('signUp', name, 'auth-svc'), spans), [...service, `auth-svc CLIENT ${name}`])
    }
  })

  t.test('the tree of a refresh contains the Redis script', async t => {
    const script = named('refresh', 'EVALSHA rotateFamily')
    t.match(pathTo(script, spansOf('refresh')), { length: 4 })
    t.match(script?.attributes, {
      'db.system.name': 'redis',
      'db.operation.name': 'EVALSHA',
      'db.stored_procedure.name': 'rotateFamily',
      'server.address': /./,
      'server.port': Number,
    })
  })

  t.test('every parent span is exported and encloses its children', async t => {
    for (const span of receiver.spans) {
      if (span.parentSpanId === '' || span.parentSpanId === client.spanId) continue
      const parent = parentOf(span, receiver.spans)
      t.equal(parent?.traceId, span.traceId, span.name)
      // The clocks of two processes differ by about 1 ms.
      const early = (parent?.start ?? 0n) - span.start
      const late = span.end - (parent?.end ?? 0n)
      t.ok(
        early < 2_000_000n && late < 2_000_000n,
        `${span.name} starts ${early} ns before and ends ${late} ns after its parent`,
      )
    }
    t.equal(new Set(receiver.spans.map(({ spanId }) => spanId)).size, receiver.spans.length)
  })

  t.test('trace id and tracestate of the client reach the last service', async t => {
    t.equal(traceIdOf('signUp'), client.traceId)
    t.equal(named('signUp', 'POST /v1/auth/signup')?.parentSpanId, client.spanId)
    t.match(named('signUp', 'user.v1.AccountService/CreateAccount', 'user-svc'), { traceId: client.traceId })
    for (const { traceState, name } of spansOf('signUp')) t.equal(traceState, 'rojo=00f0 67aa,1congo=t61r', name)
    t.equal(named('me', 'GET /v1/users/me')?.parentSpanId, '', 'without traceparent the span is a root')
  })

  t.test('span attributes follow the OpenTelemetry semantic conventions', async t => {
    t.match(named('me', 'GET /v1/users/me')?.attributes, {
      'http.request.method': 'GET',
      'http.route': '/v1/users/me',
      'http.response.status_code': 200,
      'url.scheme': 'http',
      'url.path': '/v1/users/me',
      'server.address': '127.0.0.1',
      'server.port': Number,
      'client.address': '127.0.0.1',
      'network.peer.address': '127.0.0.1',
      'network.protocol.version': '1.1',
      'user_agent.original': /./,
    })
    for (const service of ['gateway', 'user-svc']) {
      t.match(named('me', 'user.v1.UserService/GetMe', service)?.attributes, {
        'rpc.system.name': 'grpc',
        'rpc.method': 'user.v1.UserService/GetMe',
        'rpc.status_code': 'OK',
        'server.address': '127.0.0.1',
        'server.port': Number,
      })
    }
    const { attributes } = named('me', 'user.v1.UserService/GetMe', 'gateway') ?? {}
    t.match(attributes, { 'network.peer.address': '127.0.0.1', 'network.peer.port': attributes?.['server.port'] })
    t.match(named('me', 'SELECT users')?.attributes, {
      'db.system.name': 'postgresql',
      'db.namespace': /\|users$/,
      'db.operation.name': 'SELECT',
      'db.collection.name': 'users',
      'db.query.text': /^select .* where .*\$1/,
    })
  })

  t.test('no span contains a value of a query parameter or an SQL parameter', async t => {
    const text = JSON.stringify(receiver.spans.map(({ attributes, events, name }) => [attributes, events, name]))
    for (const secret of ['hunter2', PASSWORD, 'Ada', '@example.com']) t.notMatch(text, secret)
    const { attributes } = named('unknown', 'GET') ?? {}
    t.match(attributes, { 'url.query': 'secret=REDACTED&b', 'http.response.status_code': 404 })
    t.notOk('http.route' in (attributes ?? {}))
  })

  t.test('a 4xx response is an error of the client span and not of the server spans', async t => {
    t.equal(responses.stranger.status, 401)
    const call = named('stranger', 'auth.v1.AuthService/Login', 'gateway')
    t.match(call, {
      isError: true,
      attributes: { 'error.type': 'UNAUTHENTICATED', 'rpc.status_code': 'UNAUTHENTICATED' },
    })
    t.match(named('stranger', 'auth.v1.AuthService/Login', 'auth-svc'), { isError: false })
    t.match(named('stranger', 'POST /v1/auth/login'), { isError: false })
    t.match(named('unknown', 'GET'), { isError: false })
    t.notOk(spansOf('me').some(({ isError }) => isError))
  })

  t.test('each log entry of a request has the id of one of its spans', async t => {
    const lines = entries.filter(({ trace_id }) => trace_id === client.traceId)
    t.ok(lines.length >= 3)
    const spans = new Set(spansOf('signUp').map(({ spanId }) => spanId))
    for (const { span_id, msg } of lines) t.ok(spans.has(String(span_id)), msg)
  })
})

t.test('with a sample ratio of 0 no span is exported, and the trace ids still propagate', async t => {
  const { receiver, responses, traceIdOf, entries } = await trace('0')
  t.equal(responses.me.status, 200)
  t.equal(receiver.requests, 0)
  t.equal(traceIdOf('signUp'), client.traceId)
  const lines = entries.filter(({ trace_id }) => trace_id === client.traceId)
  t.strictSame(new Set(lines.map(({ service }) => service)), new Set(['gateway', 'auth-svc', 'user-svc']))
  t.strictSame(new Set(lines.map(({ span_id }) => span_id)).size, 3)
})
