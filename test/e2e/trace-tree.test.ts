/** What a collector gets of requests through the three real processes. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts'
import { login, PASSWORD, refresh, request, type SignedIn, someEmail, whoAmI } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'

const hex = (bytes: number) => randomBytes(bytes).toString('hex')
const client = { traceId: hex(16), spanId: hex(8) }
// With a client's flag that asks for nothing, and a tracestate as clients may write it.
const headers = { traceparent: `00-${client.traceId}-${client.spanId}-00`, tracestate: 'rojo=00f0 67aa , 1congo=t61r,' }

/** Some requests, each of another kind, and what a collector got of them when all processes had ended. */
async function trace(sampleRatio: string) {
  const receiver = await startOtlpReceiver(t)
  const ratios = { TRACE_SAMPLE_RATIO: sampleRatio, TRACE_ERROR_SAMPLE_RATIO: sampleRatio }
  const env = { ...ratios, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }
  const system = await startSystem(t, { env })
  const body = { email: someEmail(), password: PASSWORD, name: 'Ada', tokenDelivery: 'body' }
  const signUp = await request('POST', `${system.url}/v1/auth/signup`, { body, headers })
  const { accessToken, refreshToken } = signUp.body as SignedIn
  const answers = {
    signUp,
    me: await whoAmI(system.url, accessToken),
    refresh: await refresh(system.url, refreshToken),
    unknown: await request('GET', `${system.url}/v1/nowhere?secret=hunter2&b`),
    stranger: await login(system.url, body.email, 'some other password'),
  }
  const processes = [system.gateway, system.authSvc, system.userSvc]
  await Promise.all(processes.map(process => process.stop()))
  const traceIdOf = (name: keyof typeof answers) => answers[name].headers.get('traceresponse')?.split('-')[1] ?? ''
  return {
    receiver,
    answers,
    entries: processes.flatMap(({ entries }) => entries),
    traceIdOf,
    spansOf: (name: keyof typeof answers) => receiver.spans.filter(({ traceId }) => traceId === traceIdOf(name)),
  }
}

const parentOf = (span: ReceivedSpan, spans: readonly ReceivedSpan[]) =>
  spans.find(({ spanId }) => spanId === span.parentSpanId)

/** From the span that came from outside to the innermost: `service KIND name`. */
function pathTo(span: ReceivedSpan | undefined, spans: readonly ReceivedSpan[]): string[] {
  if (span === undefined) return []
  const line = `${span.service} ${span.kind.replace('SPAN_KIND_', '')} ${span.name}`
  return [...pathTo(parentOf(span, spans), spans), line]
}

t.test('with a ratio of 1', async t => {
  const { receiver, answers, traceIdOf, spansOf, entries } = await trace('1')
  const named = (name: keyof typeof answers, wanted: string, service?: string) =>
    spansOf(name).find(span => span.name === wanted && span.service === (service ?? span.service))

  t.test('a request is one tree, from the gateway to the statement and to Redis', async t => {
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

  t.test('a call of one service to another is in the tree, and so is what a transaction does', async t => {
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

  t.test('a refresh has its script in Redis', async t => {
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

  t.test('every parent is there, and lasts longer than its children', async t => {
    for (const span of receiver.spans) {
      if (span.parentSpanId === '' || span.parentSpanId === client.spanId) continue
      const parent = parentOf(span, receiver.spans)
      t.equal(parent?.traceId, span.traceId, span.name)
      // The clocks of two processes agree to a millisecond or so.
      const early = (parent?.start ?? 0n) - span.start
      const late = span.end - (parent?.end ?? 0n)
      t.ok(early < 2_000_000n && late < 2_000_000n, `${span.name} (${early} ns before, ${late} ns after its parent)`)
    }
    t.equal(new Set(receiver.spans.map(({ spanId }) => spanId)).size, receiver.spans.length)
  })

  t.test("the client's trace and tracestate reach the last hop", async t => {
    t.equal(traceIdOf('signUp'), client.traceId)
    t.equal(named('signUp', 'POST /v1/auth/signup')?.parentSpanId, client.spanId)
    t.match(named('signUp', 'user.v1.AccountService/CreateAccount', 'user-svc'), { traceId: client.traceId })
    for (const { traceState, name } of spansOf('signUp')) t.equal(traceState, 'rojo=00f0 67aa,1congo=t61r', name)
    t.equal(named('me', 'GET /v1/users/me')?.parentSpanId, '', 'without a trace of the client it is a root')
  })

  t.test('attributes are those of the semantic conventions', async t => {
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

  t.test('no span has a value of a query or a statement', async t => {
    const text = JSON.stringify(receiver.spans.map(({ attributes, events, name }) => [attributes, events, name]))
    for (const secret of ['hunter2', PASSWORD, 'Ada', '@example.com']) t.notMatch(text, secret)
    const { attributes } = named('unknown', 'GET') ?? {}
    t.match(attributes, { 'url.query': 'secret=REDACTED&b', 'http.response.status_code': 404 })
    t.notOk('http.route' in (attributes ?? {}))
  })

  t.test("a client's fault is an error of the call, and of no server", async t => {
    t.equal(answers.stranger.status, 401)
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

  t.test('each line of the log that belongs to a request names one of its spans', async t => {
    const lines = entries.filter(({ trace_id }) => trace_id === client.traceId)
    t.ok(lines.length >= 3)
    const spans = new Set(spansOf('signUp').map(({ spanId }) => spanId))
    for (const { span_id, msg } of lines) t.ok(spans.has(String(span_id)), msg)
  })
})

t.test('with a ratio of 0 no span is sent, and the ids go through', async t => {
  const { receiver, answers, traceIdOf, entries } = await trace('0')
  t.equal(answers.me.status, 200)
  t.equal(receiver.requests, 0)
  t.equal(traceIdOf('signUp'), client.traceId)
  const lines = entries.filter(({ trace_id }) => trace_id === client.traceId)
  t.strictSame(new Set(lines.map(({ service }) => service)), new Set(['gateway', 'auth-svc', 'user-svc']))
  t.strictSame(new Set(lines.map(({ span_id }) => span_id)).size, 3)
})
