/** Error responses outside of the normal path have the headers and the body of those on it. */
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { buildContract } from '../../../support/contract.ts'
import { startTestGateway } from '../../../support/test-gateway.ts'
import { until } from '../../../support/until.ts'

const contract = buildContract({
  'note/v1/note.proto': `
    syntax = "proto3";
    package note.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    service NoteService {
      rpc GetNote(Note) returns (Note) {
        option (google.api.http) = { get: "/v1/notes/{id}" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc GetSecret(Note) returns (Note) {
        option (google.api.http) = { get: "/v1/secrets/{id}" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
      rpc GetAudit(Note) returns (Note) {
        option (google.api.http) = { get: "/v1/audit/{id}" };
        option (edge.v1.policy) = { access: ACCESS_ROLES roles: ["admin"] };
      }
    }
    message Note { string id = 1; }
  `,
})

async function start(t: Test) {
  const gateway = await startTestGateway(t, {
    contract,
    service: 'note.v1.NoteService',
    respond: ({ message }) => message,
  })
  /** Sends bytes on a new connection and parses the response. */
  async function send(request: string) {
    const socket = connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.write(request)
    const response = await text(socket).finally(() => socket.destroy())
    const [head = '', body = ''] = response.split('\r\n\r\n')
    const [statusLine = '', ...lines] = head.split('\r\n')
    const headers = new Headers(
      lines.map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
    )
    return { status: Number(statusLine.split(' ')[1]), headers, problem: JSON.parse(body) }
  }
  return { ...gateway, send }
}

const request = (line: string, ...fields: string[]) =>
  [line, 'Host: a', ...fields, 'Connection: close', '', ''].join('\r\n')

/** Headers that differ between any two responses. */
const VARIABLE = new Set([
  'allow',
  'date',
  'x-request-id',
  'traceresponse',
  'content-length',
  'connection',
  'keep-alive',
])

const fixedHeaders = (headers: Headers) => Object.fromEntries([...headers].filter(([name]) => !VARIABLE.has(name)))

const REJECTED: [name: string, lines: (origin: string) => string, status: number, code: string][] = [
  ['not HTTP', origin => request('not HTTP at all', origin), 400, 'bad_request'],
  ['an unknown method', origin => request('FOO /v1/notes/1 HTTP/1.1', origin), 501, 'method_not_implemented'],
  ['CONNECT', origin => request('CONNECT a:443 HTTP/1.1', origin), 501, 'method_not_implemented'],
  ['CONNECT with a path', origin => request('CONNECT /v1/notes/1 HTTP/1.1', origin), 501, 'method_not_implemented'],
  ['a method of RTSP', origin => request('PLAY /v1/notes/1 RTSP/1.0', origin), 501, 'method_not_implemented'],
  ['the same with HTTP', origin => request('PLAY /v1/notes/1 HTTP/1.1', origin), 501, 'method_not_implemented'],
  ['an invalid header name', origin => request('GET / HTTP/1.1', origin, 'bad header: 1'), 400, 'bad_request'],
  [
    'headers too large',
    origin => request('GET / HTTP/1.1', origin, `x: ${'x'.repeat(20_000)}`),
    431,
    'headers_too_large',
  ],
  ['an invalid path', origin => request('GET /%ff HTTP/1.1', origin), 400, 'bad_url'],
  ['no Host', origin => ['GET /v1/notes/1 HTTP/1.1', origin, '', ''].join('\r\n'), 400, 'bad_request'],
  ['an unsupported version', origin => request('GET / HTTP/2.0', origin), 505, 'http_version_not_supported'],
  ['a URL that is too long', origin => request(`GET /${'x'.repeat(9000)} HTTP/1.1`, origin), 414, 'url_too_long'],
  ['an unknown Expect', origin => request('GET /v1/notes/1 HTTP/1.1', origin, 'Expect: x'), 417, 'expectation_failed'],
  ['a method of no route', origin => request('QUERY /v1/notes/1 HTTP/1.1', origin), 405, 'method_not_allowed'],
  ['no route', origin => request('GET /v1/nothing HTTP/1.1', origin), 404, 'route_not_found'],
]

t.test('each error response has the security headers, the CORS headers and a problem document', async t => {
  const { send } = await start(t)
  for (const origin of ['https://app.example', 'https://other.example']) {
    const normal = await send(request('GET /v1/notes/1?unknown=1 HTTP/1.1', `Origin: ${origin}`))
    t.equal(normal.status, 400)
    t.match(normal.headers.get('content-security-policy'), "default-src 'none'")
    t.match(normal.headers.get('strict-transport-security'), 'max-age')
    const isListed = origin === 'https://app.example'
    t.equal(normal.headers.get('access-control-allow-origin'), isListed ? origin : null)
    for (const [name, lines, status, code] of REJECTED) {
      const { problem, headers, status: received } = await send(lines(`Origin: ${origin}`))
      t.equal(received, status, name)
      t.match(problem, { type: 'about:blank', title: String, status, detail: String, code, trace_id: /^[0-9a-f]{32}$/ })
      t.strictSame(fixedHeaders(headers), fixedHeaders(normal.headers), name)
      t.equal(headers.get('x-request-id'), problem.trace_id, name)
      t.ok(headers.get('date'), name)
    }
  }
})

t.test('another method on a path of the gateway itself is 405 with Allow', async t => {
  const { call } = await start(t)
  for (const path of ['/healthz', '/readyz', '/docs', '/docs/', '/docs/js/scalar.js', '/openapi.json']) {
    for (const method of ['POST', 'DELETE']) {
      const response = await call(path, { method })
      t.match(await response.json(), { status: 405, code: 'method_not_allowed' }, `${method} ${path}`)
      t.equal(response.headers.get('allow'), 'GET, HEAD')
    }
  }
})

t.test('a rejected request without Origin gets no Access-Control-Allow-Origin', async t => {
  const { send } = await start(t)
  for (const [name, lines] of REJECTED) {
    const { headers } = await send(lines('Accept: a'))
    t.equal(headers.get('access-control-allow-origin'), null, name)
  }
})

t.test('a request with Expect: 100-continue is served', async t => {
  const { port } = await start(t)
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.write(request('GET /v1/notes/1 HTTP/1.1', 'Expect: 100-continue'))
  t.match(await text(socket), /HTTP\/1\.1 200 OK/)
})

t.test('401, 403 and 404 are not stored by caches', async t => {
  const { call, mint } = await start(t)
  const authorization = `Bearer ${mint.access({ role: 'user' })}`
  const cases: [path: string, headers: Record<string, string>, status: number][] = [
    ['/v1/secrets/1', {}, 401],
    ['/v1/audit/1', { authorization }, 403],
    ['/v1/nothing', { authorization }, 404],
  ]
  for (const [path, headers, status] of cases) {
    const response = await call(path, { headers })
    t.equal(response.status, status)
    t.equal(response.headers.get('cache-control'), 'no-store')
  }
})

t.test('the log line of a path that the router rejects has the path', async t => {
  const { send, state } = await start(t)
  const { headers } = await send(request('GET /%ff HTTP/1.1'))
  const findLine = () => state.lines.find(line => line['request_id'] === headers.get('x-request-id'))
  await until(
    async () => findLine(),
    line => line !== undefined,
  )
  t.match(findLine(), { route: 'unmatched', path: '/%ff', status: 400 })
})
