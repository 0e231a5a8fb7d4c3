import { randomUUID } from 'node:crypto'
import http from 'node:http'
import { connect } from 'node:net'
import { create, type DescMessage, type Message } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { Code, StatusError } from '#runtime/status.ts'
import { buildContract } from '../support/contract.ts'
import type { Responder } from '../support/echo-upstream.ts'
import { startTestGateway } from '../support/test-gateway.ts'

const contract = buildContract({
  'shop/v1/shop.proto': `
    syntax = "proto3";
    package shop.v1;
    import "edge/v1/options.proto";
    import "edge/v1/revocation.proto";
    import "google/api/annotations.proto";
    import "google/protobuf/timestamp.proto";

    service ShopService {
      rpc GetItem(Item) returns (Item) {
        option (google.api.http) = { get: "/v1/items/{id}" additional_bindings { get: "/v1/shelves/{shelf.name}/items/{id}" } };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc PutItem(Item) returns (Item) {
        option (google.api.http) = { put: "/v1/items/{id}" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC success_status: 201 };
      }
      rpc SetShelf(Item) returns (Item) {
        option (google.api.http) = { put: "/v1/items/{id}/shelf" body: "shelf" response_body: "shelf" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc Restore(Item) returns (Item) {
        option (google.api.http) = { post: "/v1/items/{id}:restore" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC success_status: 204 };
      }
      rpc User(Item) returns (Item) {
        option (google.api.http) = { get: "/v1/user" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc Admin(Item) returns (Item) {
        option (google.api.http) = { get: "/v1/admin" };
        option (edge.v1.policy) = { access: ACCESS_ROLES roles: ["admin"] };
      }
      rpc SignOut(WithCookie) returns (WithCookie) {
        option (google.api.http) = { post: "/v1/sign-out" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_OPTIONAL tolerate_invalid_token: true };
      }
      rpc Slow(Item) returns (Item) {
        option (google.api.http) = { get: "/v1/slow" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC timeout: { nanos: 200000000 } };
      }
    }
    message Item {
      string id = 1;
      string name = 2 [(edge.v1.rules) = { max_length: 5 }];
      Shelf shelf = 3;
      repeated int32 sizes = 4;
      google.protobuf.Timestamp made_at = 5;
      int64 stock = 6;
      bool sold = 7;
    }
    message Shelf { string name = 1; int32 level = 2; }
    message WithCookie {
      string text = 1;
      optional string session = 2 [(edge.v1.cookie) = { name: "__Secure-session" path: "/v1" max_age_field: "session_age" }];
      int32 session_age = 3;
      repeated edge.v1.Revocation revocations = 4;
    }
  `,
})

const Item = contract.getMessage('shop.v1.Item') as DescMessage
const WithCookie = contract.getMessage('shop.v1.WithCookie') as DescMessage
const echo: Responder = ({ message }) => message

const startGateway = (t: Test, respond: Responder = echo) =>
  startTestGateway(t, { contract, service: 'shop.v1.ShopService', respond })

async function problemOf(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>
}

t.test('path, query and body are bound to the request message; the response message becomes the JSON body', async t => {
  const { call, send } = await startGateway(t)
  t.match(
    await (
      await call('/v1/items/a%2Fb%20c?sizes=1&sizes=2&made_at=2026-01-02T03:04:05Z&sold=true&stock=9007199254740993')
    ).json(),
    {
      id: 'a/b c',
      sizes: [1, 2],
      madeAt: '2026-01-02T03:04:05Z',
      sold: true,
      stock: '9007199254740993',
    },
  )
  t.match(await (await call('/v1/shelves/top/items/7?shelf.level=3')).json(), {
    id: '7',
    shelf: { name: 'top', level: 3 },
  })
  const put = await send('PUT', '/v1/items/7', { name: 'lamp', madeAt: null })
  t.equal(put.status, 201)
  t.match(await put.json(), { id: '7', name: 'lamp', sizes: [], stock: '0' })
  t.same(await (await send('PUT', '/v1/items/7/shelf', { name: 'low' })).json(), { name: 'low', level: 0 })
  const restored = await send('POST', '/v1/items/7:restore', {})
  t.equal(restored.status, 204)
  t.equal(await restored.text(), '')
})

t.test('an unknown path is 404, an unsupported method 405 with Allow, an invalid percent-encoding 400', async t => {
  const { call } = await startGateway(t)
  const cases: [string, string, number, string][] = [
    ['GET', '/v1/nothing', 404, 'route_not_found'],
    ['GET', '/v1/items/', 404, 'route_not_found'],
    ['GET', '/v1//items/7', 404, 'route_not_found'],
    ['PATCH', '/v1/items/7', 405, 'method_not_allowed'],
    ['GET', '/v1/items/7:restore', 405, 'method_not_allowed'],
    ['GET', '/v1/items/7%3Arestore', 200, ''],
    ['GET', '/v1/items/7:other', 200, ''],
    ['QUERY', '/v1/items/7', 405, 'method_not_allowed'],
    ['PURGE', '/v1/items/7', 405, 'method_not_allowed'],
    ['QUERY', '/v1/nothing', 404, 'route_not_found'],
    ['GET', '/v1/items/%FF', 400, 'bad_url'],
    ['GET', '/v1/items/%ZZ', 400, 'bad_url'],
    ['GET', '/v1/items/a%252Fb', 200, ''],
  ]
  for (const [method, path, status, code] of cases) {
    const response = await call(path, { method })
    t.equal(response.status, status, path)
    if (code !== '') {
      t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
      t.match(await problemOf(response), { code, instance: path })
    } else t.match(await response.json(), { id: decodeURIComponent(path.slice('/v1/items/'.length)) })
  }
  t.equal((await call('/v1/items/7', { method: 'PATCH' })).headers.get('allow'), 'GET, HEAD, PUT')
  for (const method of ['GET', 'PATCH', 'PUT', 'QUERY']) {
    const response = await call('/v1/items/7:restore', { method })
    t.match([response.status, response.headers.get('allow')], [405, 'POST'], `${method} of a path with a custom verb`)
  }
  const body = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' }
  t.equal((await call('/v1/nothing', body)).status, 404, 'whatever the body is')
  t.equal((await call('/v1/items/7', body)).status, 405, 'whatever the body is')
})

t.test('a body must be JSON without Content-Encoding and within the size limit', async t => {
  const { call, send } = await startGateway(t)
  t.equal((await call('/v1/items/7', { method: 'PUT', body: 'name=a' })).status, 415)
  t.equal((await send('PUT', '/v1/items/7', 'x', { 'content-encoding': 'gzip' })).status, 415)
  t.match(await problemOf(await send('PUT', '/v1/items/7', { name: 'x'.repeat(10_000) })), { code: 'body_too_large' })
  t.equal((await send('PUT', '/v1/items/7', '')).status, 201, 'an empty body is an empty message')
})

t.test('a violation reaches the client with its field, and the request does not reach the upstream', async t => {
  const { call, send, upstream } = await startGateway(t)
  const problem = await problemOf(await send('PUT', '/v1/items/7', { name: 1, sold: 'x', shelf: { level: 'y' } }))
  t.match(problem, { status: 400, code: 'invalid_argument' })
  t.same((problem['errors'] as { field: string }[]).map(error => error.field).sort(), ['name', 'shelf.level', 'sold'])
  t.match(await problemOf(await call('/v1/items/7?id=8')), { errors: [{ field: 'id' }] })
  t.same(upstream.received, [])
})

t.test('authentication and authorization failures reach the client as problem documents', async t => {
  const { call, mint, revocations, state } = await startGateway(t)
  const callAs = async (path: string, token?: string) => {
    const response = await call(path, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
    const { code } = (await response.json()) as { code?: string }
    return [response.status, code]
  }
  const sid = randomUUID()
  const user = mint.access({ role: 'user', sid })
  const admin = mint.access({ role: 'admin' })

  t.same(await callAs('/v1/admin'), [401, 'unauthenticated'])
  t.same(await callAs('/v1/admin', user), [403, 'permission_denied'])
  t.same(await callAs('/v1/admin', admin), [200, undefined])
  revocations.add({
    target: { $case: 'sessionId', value: sid },
    notAfter: undefined,
    expiresAt: new Date(Date.now() + 1e6),
  })
  t.same(await callAs('/v1/admin', user), [401, 'token_revoked'])
  state.isStale = true
  t.same(await callAs('/v1/admin', admin), [503, 'revocations_unknown'])
  t.same(await callAs('/v1/items/7'), [200, undefined], 'a public method needs no revocations')
})

t.test('a User-Agent is forwarded without trailing spaces, at most 256 characters of it', async t => {
  const { call, upstream } = await startGateway(t)
  for (const [userAgent, forwarded] of [
    [`${'a'.repeat(255)} continued`, 'a'.repeat(255)],
    ['b'.repeat(300), 'b'.repeat(256)],
  ] as const) {
    t.equal((await call('/v1/items/7', { headers: { 'user-agent': userAgent } })).status, 200)
    t.equal(upstream.received.at(-1)?.metadata['gatehouse-client-user-agent'], forwarded)
  }
})

t.test('the upstream receives the verified token and no other identity; client headers are not forwarded', async t => {
  const { call, mint, upstream } = await startGateway(t)
  const token = mint.access({})
  const spoofed = {
    authorization: `Bearer ${token}`,
    'x-user-id': 'admin',
    'gatehouse-client-address': '1.2.3.4',
    gatehouse_client_address: '1.2.3.4',
    'grpc-metadata-authorization': 'Bearer x',
    'grpc-timeout': '1H',
    'x-forwarded-for': '1.2.3.4',
    'user-agent': 'Köln',
  }
  await call('/v1/user', { headers: spoofed })
  await call('/v1/items/7', { headers: spoofed })
  const [authenticated, anonymous] = upstream.received.map(received => received.metadata)
  t.equal(authenticated?.['authorization'], `Bearer ${token}`)
  t.equal(anonymous?.['authorization'], undefined)
  for (const metadata of [authenticated, anonymous]) {
    t.equal(metadata?.['gatehouse-client-address'], '127.0.0.1')
    t.equal(metadata?.['gatehouse-client-user-agent'], 'K?ln')
    for (const name of ['x-user-id', 'gatehouse_client_address', 'grpc-metadata-authorization', 'x-forwarded-for']) {
      t.equal(metadata?.[name], undefined, name)
    }
  }
})

t.test('a cookie field is read from and written to its cookie, and is not part of any body', async t => {
  const respond: Responder = ({ message }) =>
    create(WithCookie, {
      text: (message as Message & { session?: string }).session ?? 'none',
      session: 'next',
      sessionAge: 60,
    } as never)
  const { send, upstream } = await startGateway(t, respond)
  const trusted = { origin: 'https://shop.example', cookie: '__Secure-session=first; other=x' }

  const response = await send('POST', '/v1/sign-out', {}, trusted)
  t.same(await response.json(), { text: 'first', sessionAge: 60 })
  t.equal(
    response.headers.get('set-cookie'),
    '__Secure-session=next; Max-Age=60; Path=/v1; HttpOnly; Secure; SameSite=Strict',
  )

  t.match(await problemOf(await send('POST', '/v1/sign-out', { session: 'x' })), { errors: [{ field: 'session' }] })
  upstream.received.length = 0
  t.match(await problemOf(await send('POST', '/v1/sign-out', {}, { ...trusted, origin: 'https://evil.example' })), {
    status: 403,
    code: 'cross_site_request',
  })
  t.same(upstream.received, [])
  t.equal(
    (await send('POST', '/v1/sign-out', {}, { ...trusted, origin: 'https://app.example' })).status,
    200,
    'a CORS origin is trusted',
  )
})

t.test('a response without the cookie field keeps the cookie, an empty field deletes it', async t => {
  const values: (string | undefined)[] = [undefined, '']
  const { send } = await startGateway(t, () => create(WithCookie, { session: values.shift() } as never))
  t.equal((await send('POST', '/v1/sign-out', {})).headers.get('set-cookie'), null)
  t.match((await send('POST', '/v1/sign-out', {})).headers.get('set-cookie'), /^__Secure-session=; Max-Age=0;/)
})

t.test('a revocation in a response takes effect at once and is not part of the body', async t => {
  const sid = randomUUID()
  const revocation = {
    target: { case: 'sessionId', value: sid },
    expiresAt: { seconds: BigInt(Math.ceil(Date.now() / 1000) + 900) },
  }
  const { call, send, mint } = await startGateway(t, ({ method, message }) =>
    method === 'SignOut' ? create(WithCookie, { revocations: [revocation] } as never) : message,
  )
  const headers = { authorization: `Bearer ${mint.access({ sid })}` }
  t.equal((await call('/v1/user', { headers })).status, 200)
  t.same(await (await send('POST', '/v1/sign-out', {}, headers)).json(), { text: '', sessionAge: 0 })
  t.equal((await call('/v1/user', { headers })).status, 401)
  t.equal((await send('POST', '/v1/sign-out', {}, headers)).status, 200, 'signing out with a revoked token succeeds')
})

t.test('the trace of a request continues in upstream metadata, the access log and the response headers', async t => {
  const { call, upstream, state } = await startGateway(t)
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const response = await call('/v1/items/7', {
    headers: {
      traceparent: `00-${traceId}-b7ad6b7169203331-01`,
      tracestate: 'a=1,b=2',
      'x-request-id': 'my-request.1',
    },
  })
  t.match(
    response.headers.get('traceresponse'),
    new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`),
    'the sampled flag of a client is ignored',
  )
  t.equal(response.headers.get('x-request-id'), 'my-request.1')
  const [received] = upstream.received
  t.match(received?.metadata['traceparent'], new RegExp(`^00-${traceId}-`))
  t.equal(received?.metadata['tracestate'], 'a=1,b=2')
  t.match(state.lines.at(-1), { route: '/v1/items/{id}', status: 200, request_id: 'my-request.1' })

  const headers = { traceparent: `ff-${traceId}-b7ad6b7169203331-01`, 'x-request-id': 'a b' }
  const restarted = await call('/v1/items/7', { headers })
  t.notMatch(restarted.headers.get('traceresponse'), traceId, 'an invalid traceparent is ignored')
  t.match(restarted.headers.get('traceresponse'), new RegExp(restarted.headers.get('x-request-id') ?? 'none'))
  t.match(await problemOf(await call('/nowhere')), { trace_id: /^[0-9a-f]{32}$/ })
})

t.test('an upstream error becomes a problem document with its details; internal errors reveal nothing', async t => {
  const errors = [
    new StatusError(Code.ALREADY_EXISTS, 'Taken', {
      reason: 'name_taken',
      violations: [{ field: 'name', description: 'is taken' }],
    }),
    new StatusError(Code.UNAVAILABLE, 'Busy', { reason: 'busy', retryAfterMs: 2500 }),
    new Error('relation "secret" does not exist'),
  ]
  const { call } = await startGateway(t, () => {
    throw errors.shift()
  })
  const taken = await call('/v1/items/7')
  t.match(await problemOf(taken), {
    status: 409,
    code: 'name_taken',
    detail: 'Taken',
    errors: [{ field: 'name', description: 'is taken' }],
  })
  const busy = await call('/v1/items/7')
  t.equal(busy.headers.get('retry-after'), '3')
  t.equal(busy.status, 503)
  const broken = await (await call('/v1/items/7')).text()
  t.notMatch(broken, /secret/)
  t.match(JSON.parse(broken), { status: 500, code: 'internal' })
})

t.test('a call ends at its timeout, and is cancelled when the client disconnects', async t => {
  const aborted = Promise.withResolvers<void>()
  const started = Promise.withResolvers<void>()
  const { call, port, state } = await startGateway(t, async ({ method, signal }) => {
    if (method !== 'Slow') {
      signal.addEventListener('abort', () => aborted.resolve())
      started.resolve()
    }
    await new Promise(() => {})
    return create(Item)
  })
  t.match(await problemOf(await call('/v1/slow')), { status: 504, code: 'deadline_exceeded' })

  const request = http.get({ host: '127.0.0.1', port, path: '/v1/items/7' })
  request.on('error', () => {})
  await started.promise
  request.destroy()
  await aborted.promise
  t.pass('the RPC was cancelled')
  const line = state.lines.find(({ route }) => route === '/v1/items/{id}')
  t.match(line, { msg: 'request', status: 499, aborted: true }, 'the request is in the access log')
})

t.test('an unreachable upstream is 503 with Retry-After and without its address', async t => {
  const { call, upstream } = await startGateway(t)
  upstream.close()
  const response = await call('/v1/items/7')
  const text = await response.text()
  t.equal(response.status, 503)
  t.ok(response.headers.get('retry-after'))
  t.notMatch(text, upstream.address.split(':')[1])
})

t.test('responses carry security and CORS headers, and no trailer of the upstream', async t => {
  const { call } = await startGateway(t)
  const response = await call('/v1/items/7', { headers: { origin: 'https://app.example' } })
  t.match(response.headers.get('content-security-policy'), /default-src 'none'/)
  t.equal(response.headers.get('x-content-type-options'), 'nosniff')
  t.equal(response.headers.get('access-control-allow-origin'), 'https://app.example')
  t.equal(response.headers.get('x-upstream-secret'), null)
  const untrusted = await call('/v1/items/7', { headers: { origin: 'https://evil.example' } })
  t.equal(untrusted.headers.get('access-control-allow-origin'), null)
})

/** Sends raw text and returns everything received until the server closes the connection. */
function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let response = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    socket.on('data', chunk => {
      response += chunk
    })
    socket.on('close', () => resolve(response))
    socket.on('error', reject)
  })
}

t.test('an absolute-form request target is routed by its path', async t => {
  const { port } = await startGateway(t)
  const response = await sendRaw(
    port,
    'GET http://other.example/v1/items/7?name=abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  )
  t.match(response, /"id":"7","name":"abc"/)
})

t.test('close completes requests in flight and does not wait for idle keep-alive connections', async t => {
  const started = Promise.withResolvers<void>()
  const reply = Promise.withResolvers<Message>()
  const { close, port } = await startGateway(t, () => {
    started.resolve()
    return reply.promise
  })
  const agent = new http.Agent({ keepAlive: true })
  const response = Promise.withResolvers<http.IncomingMessage>()
  http.get({ host: '127.0.0.1', port, path: '/v1/items/7', agent }, response.resolve)
  await started.promise
  const closed = close()
  reply.resolve(create(Item, { id: '7' } as never))
  const { statusCode, headers } = await response.promise.then(message => message.resume())
  t.match({ statusCode, connection: headers.connection }, { statusCode: 200, connection: 'close' })
  await closed
  t.pass('closed')
})

t.test('requests rejected by the router or the HTTP parser have a trace id and a log line', async t => {
  const { call, port, state, upstream } = await startGateway(t)
  for (const path of ['/v1/items/%ZZ', `/v1/items/${'x'.repeat(9000)}`]) {
    const rejected = await call(path)
    const { trace_id: traceId, status } = await problemOf(rejected)
    t.match(traceId, /^[0-9a-f]{32}$/)
    t.equal(rejected.headers.get('x-request-id'), traceId)
    t.match(rejected.headers.get('traceresponse'), String(traceId))
    t.match(
      state.lines.find(line => line['request_id'] === traceId),
      { msg: 'request', status },
    )
  }
  const response = await sendRaw(port, 'malformed\r\n\r\n')
  const { trace_id: traceId } = JSON.parse(response.slice(response.indexOf('\r\n\r\n') + 4)) as { trace_id: string }
  t.match(traceId, /^[0-9a-f]{32}$/)
  t.match(response, /^HTTP\/1.1 400 /)
  t.match(response, `x-request-id: ${traceId}`)
  t.same(upstream.received, [])
  t.ok(state.lines.some(line => line['msg'] === 'malformed HTTP request; closing the connection'))
})

t.test('a problem document lists at most 100 violations', async t => {
  const { call } = await startGateway(t)
  const response = await (
    await call(`/v1/items/7?${Array.from({ length: 1500 }, (_, at) => `n${at}`).join('&')}`)
  ).text()
  t.ok(response.length < 10_000, `${response.length} characters`)
  t.match(JSON.parse(response), { detail: /and 1490 more$/, errors: { length: 100 } })
})
