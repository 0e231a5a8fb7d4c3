import { randomUUID } from 'node:crypto'
import http from 'node:http'
import { connect } from 'node:net'
import { create, type DescMessage, type Message } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { buildRouteTable } from '../../gateway/contract/route-table.ts'
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
      rpc Who(Item) returns (Item) {
        option (google.api.http) = { get: "/v1/who" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc Maybe(Item) returns (Item) {
        option (google.api.http) = { get: "/v1/maybe" };
        option (edge.v1.policy) = { access: ACCESS_OPTIONAL };
      }
      rpc Rule(Item) returns (Item) {
        option (google.api.http) = { get: "/v1/rule" };
        option (edge.v1.policy) = { access: ACCESS_ROLES roles: ["admin"] };
      }
      rpc Leave(Cookied) returns (Cookied) {
        option (google.api.http) = { post: "/v1/leave" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_OPTIONAL tolerate_invalid_token: true };
      }
      rpc OnShelf(Item) returns (Item) {
        option (google.api.http) = { put: "/v1/shelved/{shelf.name}" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
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
    message Shelf { string name = 1; int32 floor = 2; }
    message Cookied {
      string note = 1;
      optional string crumb = 2 [(edge.v1.cookie) = { name: "__Secure-crumb" path: "/v1" max_age_field: "age" }];
      int32 age = 3;
      repeated edge.v1.Revocation revocations = 4;
    }
  `,
})

const Item = contract.getMessage('shop.v1.Item') as DescMessage
const Cookied = contract.getMessage('shop.v1.Cookied') as DescMessage
const echo: Responder = ({ message }) => message

const startGateway = (t: Test, respond: Responder = echo) =>
  startTestGateway(t, { contract, service: 'shop.v1.ShopService', respond })

async function problemOf(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>
}

t.test('path, query and body reach the message, and the message the answer', async t => {
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
  t.match(await (await call('/v1/shelves/top/items/7?shelf.floor=3')).json(), {
    id: '7',
    shelf: { name: 'top', floor: 3 },
  })
  const put = await send('PUT', '/v1/items/7', { name: 'lamp', madeAt: null })
  t.equal(put.status, 201)
  t.match(await put.json(), { id: '7', name: 'lamp', sizes: [], stock: '0' })
  t.same(await (await send('PUT', '/v1/items/7/shelf', { name: 'low' })).json(), { name: 'low', floor: 0 })
  const restored = await send('POST', '/v1/items/7:restore', {})
  t.equal(restored.status, 204)
  t.equal(await restored.text(), '')
})

t.test(
  'what is given twice, unknown or wrong is refused with the field named, and never reaches the upstream',
  async t => {
    const { call, send, upstream } = await startGateway(t)
    const cases: [Promise<Response>, string, RegExp][] = [
      [send('PUT', '/v1/items/7', { id: '8' }), 'id', /by the path/],
      [call('/v1/items/7?id=8'), 'id', /by the path/],
      [send('PUT', '/v1/items/7', '{"name": "a", "name": "b"}'), 'name', /twice/],
      [send('PUT', '/v1/items/7', { madeAt: null, made_at: '2026-01-01T00:00:00Z' }), 'madeAt', /./],
      [call('/v1/items/7?name=a&name=b'), 'name', /twice/],
      [call('/v1/items/7?nmae=a'), 'nmae', /not known/],
      [send('PUT', '/v1/items/7', { nmae: 'a' }), 'nmae', /not known/],
      [send('PUT', '/v1/items/7?name=a', {}), 'name', /belongs in the body/],
      [send('PUT', '/v1/items/7/shelf?shelf.floor=1', {}), 'shelf.floor', /belongs in the body/],
      [call('/v1/items/7?shelf=x'), 'shelf', /query/],
      [send('PUT', '/v1/items/7', '{"stock": 9007199254740993}'), 'stock', /as a string/],
      [call('/v1/items/7?stock=9223372036854775808'), 'stock', /./],
      [call('/v1/items/7?sizes=1&sizes=x'), 'sizes[1]', /./],
      [call('/v1/items/7?sold=yes'), 'sold', /./],
      [call('/v1/items/7?made_at=yesterday'), 'madeAt', /./],
      [send('PUT', '/v1/items/7', { name: 'too long' }), 'name', /5 characters/],
      [send('PUT', '/v1/shelved/top', { shelf: 'garbage' }), 'shelf', /./],
      [send('PUT', '/v1/items/7', { shelf: { floor: 1.5 } }), 'shelf.floor', /./],
      [send('PUT', '/v1/items/7', '[1]'), 'body', /./],
      [call('/v1/items/7?name=%FF'), 'query', /UTF-8/],
      [call('/v1/items/7?name=%ZZ'), 'query', /UTF-8/],
    ]
    for (const [response, field, description] of cases) {
      const problem = await problemOf(await response)
      t.match(problem, { status: 400, code: 'invalid_argument' }, JSON.stringify(problem))
      const errors = problem['errors'] as { field: string; description: string }[]
      t.match(errors[0], { field, description }, JSON.stringify(problem))
    }
    t.same(upstream.received, [])
  },
)

t.test('every fault of a body is told at once', async t => {
  const { send } = await startGateway(t)
  const problem = await problemOf(await send('PUT', '/v1/items/7', { name: 1, sold: 'x', shelf: { floor: 'y' } }))
  t.same((problem['errors'] as { field: string }[]).map(error => error.field).sort(), ['name', 'shelf.floor', 'sold'])
})

t.test('a path that is not served is 404, another method 405 with Allow, a bad escape 400', async t => {
  const { call } = await startGateway(t)
  const cases: [string, string, number, string][] = [
    ['GET', '/v1/nothing', 404, 'route_not_found'],
    ['GET', '/v1/items/', 404, 'route_not_found'],
    ['GET', '/v1//items/7', 404, 'route_not_found'],
    ['PATCH', '/v1/items/7', 405, 'method_not_allowed'],
    ['GET', '/v1/items/7:restore', 200, ''],
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
})

t.test('only plain JSON is taken as a body, and only so much of it', async t => {
  const { call, send } = await startGateway(t)
  t.equal((await call('/v1/items/7', { method: 'PUT', body: 'name=a' })).status, 415)
  t.equal((await send('PUT', '/v1/items/7', 'x', { 'content-encoding': 'gzip' })).status, 415)
  t.match(await problemOf(await send('PUT', '/v1/items/7', { name: 'x'.repeat(10_000) })), { code: 'body_too_large' })
  t.equal((await send('PUT', '/v1/items/7', '')).status, 201, 'an empty body is an empty message')
})

t.test('access follows the policy', async t => {
  const { call, mint, revocations, state } = await startGateway(t)
  const as = async (path: string, token?: string) => {
    const response = await call(path, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
    const { code } = (await response.json()) as { code?: string }
    return [response.status, code]
  }
  const sid = randomUUID()
  const user = mint.access({ role: 'user', sid })
  const admin = mint.access({ role: 'admin' })

  t.same(await as('/v1/who'), [401, 'unauthenticated'])
  t.same(await as('/v1/who', user), [200, undefined])
  t.same(await as('/v1/rule', user), [403, 'permission_denied'])
  t.same(await as('/v1/rule', admin), [200, undefined])
  t.same(await as('/v1/maybe'), [200, undefined])
  t.same(await as('/v1/maybe', 'rubbish'), [401, 'token_invalid'])
  t.same(await as('/v1/items/7', 'rubbish'), [200, undefined], 'a public method does not look at tokens')

  for (const [name, token] of Object.entries(mint.forgeries()))
    t.same(await as('/v1/who', token), [401, 'token_invalid'], name)
  t.same(await as('/v1/who', mint.access({ exp: Date.now() / 1000 - 1 })), [401, 'token_expired'])

  revocations.add({
    target: { $case: 'sessionId', value: sid },
    notAfter: undefined,
    expiresAt: new Date(Date.now() + 1e6),
  })
  t.same(await as('/v1/who', user), [401, 'token_revoked'])
  t.same(await as('/v1/who', admin), [200, undefined])
  state.isStale = true
  t.same(await as('/v1/who', admin), [503, 'revocations_unknown'])
  t.same(await as('/v1/items/7'), [200, undefined], 'what needs no token goes on')
})

t.test('a user agent goes on as far as metadata may, whatever it is cut at', async t => {
  const { call, upstream } = await startGateway(t)
  for (const [userAgent, sent] of [
    [`${'a'.repeat(255)} and so on`, 'a'.repeat(255)],
    ['b'.repeat(300), 'b'.repeat(256)],
  ] as const) {
    t.equal((await call('/v1/items/7', { headers: { 'user-agent': userAgent } })).status, 200)
    t.equal(upstream.received.at(-1)?.metadata['gatehouse-client-user-agent'], sent)
  }
})

t.test('identity goes on as the verified token only, and no header of the client goes on by itself', async t => {
  const { call, mint, upstream } = await startGateway(t)
  const token = mint.access({})
  const spoofed = {
    authorization: `Bearer ${token}`,
    'x-user-id': 'admin',
    'gatehouse-client-address': '1.2.3.4',
    gatehouse_client_address: '1.2.3.4',
    'grpc-metadata-authorization': 'Bearer x',
    'grpc-timeout': '1n',
    'x-forwarded-for': '1.2.3.4',
    'user-agent': 'Köln',
  }
  await call('/v1/who', { headers: spoofed })
  await call('/v1/items/7', { headers: spoofed })
  const [withToken, without] = upstream.received.map(received => received.metadata)
  t.equal(withToken?.['authorization'], `Bearer ${token}`)
  t.equal(without?.['authorization'], undefined)
  for (const metadata of [withToken, without]) {
    t.equal(metadata?.['gatehouse-client-address'], '127.0.0.1')
    t.equal(metadata?.['gatehouse-client-user-agent'], 'K?ln')
    for (const name of ['x-user-id', 'gatehouse_client_address', 'grpc-metadata-authorization', 'x-forwarded-for']) {
      t.equal(metadata?.[name], undefined, name)
    }
  }
})

t.test('a cookie field travels in its cookie, and nowhere else', async t => {
  const respond: Responder = ({ message }) =>
    create(Cookied, {
      note: (message as Message & { crumb?: string }).crumb ?? 'none',
      crumb: 'next',
      age: 60,
    } as never)
  const { send, upstream } = await startGateway(t, respond)
  const ours = { origin: 'https://shop.example', cookie: '__Secure-crumb=first; other=x' }

  const response = await send('POST', '/v1/leave', {}, ours)
  t.same(await response.json(), { note: 'first', age: 60 })
  t.equal(
    response.headers.get('set-cookie'),
    '__Secure-crumb=next; Max-Age=60; Path=/v1; HttpOnly; Secure; SameSite=Strict',
  )

  t.match(await problemOf(await send('POST', '/v1/leave', { crumb: 'x' })), { errors: [{ field: 'crumb' }] })
  upstream.received.length = 0
  for (const headers of [
    { cookie: ours.cookie },
    { ...ours, origin: 'https://evil.example' },
    { ...ours, origin: '', 'sec-fetch-site': 'cross-site' },
  ]) {
    t.match(await problemOf(await send('POST', '/v1/leave', {}, headers as Record<string, string>)), {
      status: 403,
      code: 'cross_site_request',
    })
  }
  t.same(upstream.received, [])
  t.equal((await send('POST', '/v1/leave', {}, { cookie: ours.cookie, 'sec-fetch-site': 'same-origin' })).status, 200)
  t.equal((await send('POST', '/v1/leave', {}, { cookie: ours.cookie, origin: 'https://app.example' })).status, 200)
})

t.test('an answer without the field leaves the cookie alone, an empty one clears it', async t => {
  const values: (string | undefined)[] = [undefined, '']
  const { send } = await startGateway(t, () => create(Cookied, { crumb: values.shift() } as never))
  t.equal((await send('POST', '/v1/leave', {})).headers.get('set-cookie'), null)
  t.match((await send('POST', '/v1/leave', {})).headers.get('set-cookie'), /^__Secure-crumb=; Max-Age=0;/)
})

t.test('what an answer revokes is known at once and not told to the client', async t => {
  const sid = randomUUID()
  const revocation = {
    target: { case: 'sessionId', value: sid },
    expiresAt: { seconds: BigInt(Math.ceil(Date.now() / 1000) + 900) },
  }
  const { call, send, mint } = await startGateway(t, ({ method, message }) =>
    method === 'Leave' ? create(Cookied, { revocations: [revocation] } as never) : message,
  )
  const headers = { authorization: `Bearer ${mint.access({ sid })}` }
  t.equal((await call('/v1/who', { headers })).status, 200)
  t.same(await (await send('POST', '/v1/leave', {}, headers)).json(), { note: '', age: 0 })
  t.equal((await call('/v1/who', { headers })).status, 401)
  t.equal((await send('POST', '/v1/leave', {}, headers)).status, 200, 'a revoked token does not keep one from leaving')
})

t.test('one trace goes through: in, on, into the log and into the answer', async t => {
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
    'the flag of a client does not sample',
  )
  t.equal(response.headers.get('x-request-id'), 'my-request.1')
  const [received] = upstream.received
  t.match(received?.metadata['traceparent'], new RegExp(`^00-${traceId}-`))
  t.equal(received?.metadata['tracestate'], 'a=1,b=2')
  t.match(state.lines.at(-1), { route: '/v1/items/{id}', status: 200, request_id: 'my-request.1' })

  for (const traceparent of [
    '',
    '00-0-0-00',
    `ff-${traceId}-b7ad6b7169203331-01`,
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-${traceId}-b7ad6b7169203331-01-x`,
  ]) {
    const fresh = await call('/v1/items/7', { headers: { traceparent, 'x-request-id': 'a b\u00e9' } })
    t.notMatch(fresh.headers.get('traceresponse'), traceId, traceparent)
    t.match(fresh.headers.get('traceresponse'), new RegExp(fresh.headers.get('x-request-id') ?? 'none'))
  }
  t.match(await problemOf(await call('/nowhere')), { trace_id: /^[0-9a-f]{32}$/ })
})

t.test('an error of the upstream becomes a problem, with its details and nothing else of it', async t => {
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

t.test('a call takes no longer than its timeout, and a client that leaves takes it along', async t => {
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
  t.match(line, { msg: 'request', status: 499, aborted: true }, 'and the request has left its line')
})

t.test('an upstream that is away is 503 without its address', async t => {
  const { call, upstream } = await startGateway(t)
  upstream.close()
  const response = await call('/v1/items/7')
  const text = await response.text()
  t.equal(response.status, 503)
  t.ok(response.headers.get('retry-after'))
  t.notMatch(text, upstream.address.split(':')[1])
})

t.test('answers carry the security headers, and no trailer of the upstream', async t => {
  const { call } = await startGateway(t)
  const response = await call('/v1/items/7', { headers: { origin: 'https://app.example' } })
  t.match(response.headers.get('content-security-policy'), /default-src 'none'/)
  t.equal(response.headers.get('x-content-type-options'), 'nosniff')
  t.equal(response.headers.get('access-control-allow-origin'), 'https://app.example')
  t.equal(response.headers.get('x-upstream-secret'), null)
  const stranger = await call('/v1/items/7', { headers: { origin: 'https://evil.example' } })
  t.equal(stranger.headers.get('access-control-allow-origin'), null)
})

/** Sends text as it is and reads until the server closes. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    socket.on('data', chunk => {
      answer += chunk
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}

t.test('what is not HTTP is refused with a problem, and the connection closed', async t => {
  const { port, upstream } = await startGateway(t)
  const cases: [string, string][] = [
    ['rubbish\r\n\r\n', '400'],
    ['PUT /v1/items/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', '400'],
    ['PUT /v1/items/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc', '400'],
    ['GET /v1/items/7 HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n', '400'],
    [`GET /v1/items/7 HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, '431'],
  ]
  for (const [text, status] of cases) {
    const answer = await raw(port, text)
    t.match(answer, new RegExp(`^HTTP/1.1 ${status} `), text.slice(0, 60))
    t.match(answer, /application\/problem\+json/)
    t.match(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)), { status: Number(status) })
  }
  t.same(upstream.received, [])
})

t.test('an absolute-form target is served by its path', async t => {
  const { port } = await startGateway(t)
  const answer = await raw(
    port,
    'GET http://other.example/v1/items/7?name=abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
  )
  t.match(answer, /"id":"7","name":"abc"/)
})

t.test('closing lets what is in flight finish and then waits for no connection that is kept alive', async t => {
  const started = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<Message>()
  const { app, port } = await startGateway(t, () => {
    started.resolve()
    return answer.promise
  })
  const agent = new http.Agent({ keepAlive: true })
  const response = Promise.withResolvers<http.IncomingMessage>()
  http.get({ host: '127.0.0.1', port, path: '/v1/items/7', agent }, response.resolve)
  await started.promise
  const closed = app.close()
  answer.resolve(create(Item, { id: '7' } as never))
  const { statusCode, headers } = await response.promise.then(message => message.resume())
  t.match({ statusCode, connection: headers.connection }, { statusCode: 200, connection: 'close' })
  await closed
  t.pass('it closed')
})

t.test('a policy that tells nobody apart stops the boot, by the name of the method', async t => {
  const careless = (policy: string) =>
    buildContract({
      'c/v1/c.proto': `
        syntax = "proto3";
        package c.v1;
        import "edge/v1/options.proto";
        import "google/api/annotations.proto";
        service CService {
          rpc Get(Nothing) returns (Nothing) {
            option (google.api.http) = { get: "/v1/c" };
            ${policy}
          }
        }
        message Nothing {}`,
    })
  for (const policy of [
    '',
    'option (edge.v1.policy) = { timeout: { seconds: 1 } };',
    'option (edge.v1.policy) = { access: ACCESS_ROLES };',
    'option (edge.v1.policy) = { access: ACCESS_USER tolerate_invalid_token: true };',
    'option (edge.v1.policy) = { access: ACCESS_USER timeout: { seconds: -1 } };',
  ]) {
    const service = serviceOf(careless(policy), 'c.v1.CService')
    t.throws(() => buildRouteTable([{ service, upstream: 'c' }]), { message: /c\.v1\.CService\/Get: / }, policy)
  }
})

t.test('what the router or the HTTP parser refuses has its trace in the answer and its line in the log', async t => {
  const { call, port, state } = await startGateway(t)
  for (const path of ['/v1/items/%ZZ', `/v1/items/${'x'.repeat(2000)}`]) {
    const refused = await call(path)
    const { trace_id: traceId, status } = await problemOf(refused)
    t.match(traceId, /^[0-9a-f]{32}$/)
    t.equal(refused.headers.get('x-request-id'), traceId)
    t.match(refused.headers.get('traceresponse'), String(traceId))
    t.match(
      state.lines.find(line => line['request_id'] === traceId),
      { msg: 'request', status },
    )
  }
  const answer = await raw(port, 'rubbish\r\n\r\n')
  const { trace_id: traceId } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as { trace_id: string }
  t.match(traceId, /^[0-9a-f]{32}$/)
  t.match(answer, `X-Request-Id: ${traceId}`)
  t.ok(state.lines.some(line => line['msg'] === 'malformed HTTP request; closing the connection'))
})

t.test('a client that keeps its side open after rubbish does not keep the connection', async t => {
  const { port } = await startGateway(t)
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.resume().write('rubbish\r\n\r\n')
  await new Promise(resolve => socket.once('end', resolve))
  socket.destroy()
  t.pass('the server ended it')
})

t.test('an answer about a bad request is bounded, however much is wrong', async t => {
  const { call } = await startGateway(t)
  const answer = await (await call(`/v1/items/7?${Array.from({ length: 1500 }, (_, at) => `n${at}`).join('&')}`)).text()
  t.ok(answer.length < 10_000, `${answer.length} characters`)
  t.match(JSON.parse(answer), { detail: /and 1490 more$/, errors: { length: 100 } })
})
