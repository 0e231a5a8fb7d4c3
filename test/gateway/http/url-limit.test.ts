/** Paths with `**`, escaped literals and long parameters through the gateway, and the limit of the URL. */
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { buildContract } from '../../support/contract.ts'
import { openWire, readResponses } from '../../support/http-wire.ts'
import { startTestGateway } from '../../support/test-gateway.ts'

const MAX_URL_LENGTH = 8192

const contract = buildContract({
  'files/v1/files.proto': `
    syntax = "proto3";
    package files.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";

    service FileService {
      rpc GetFile(File) returns (File) {
        option (google.api.http) = {
          get: "/v1/files/{path=**}"
          additional_bindings { get: "/v1/caf%C3%A9/a%2Fb/{path}" }
          additional_bindings { post: "/v1/files/{path=**}:scan" }
        };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
    }
    message File { string path = 1; string note = 2; }
  `,
})
const start = (t: Test) =>
  startTestGateway(t, { contract, service: 'files.v1.FileService', respond: ({ message }) => message })

t.test('`**` matches no segment, one and many', async t => {
  const { call } = await start(t)
  for (const [method, path, value] of [
    ['GET', '/v1/files', ''],
    ['GET', '/v1/files/a', 'a'],
    ['GET', '/v1/files/a/b', 'a/b'],
    ['HEAD', '/v1/files', undefined],
    ['POST', '/v1/files:scan', ''],
    ['POST', '/v1/files/a/b:scan', 'a/b'],
  ] as const) {
    const response = await call(path, { method })
    t.equal(response.status, 200, `${method} ${path}`)
    if (value !== undefined) t.match(await response.json(), { path: value })
  }
  t.equal((await call('/v1/files/')).status, 404, 'an empty segment')
  const rejected = await call('/v1/files', { method: 'PUT' })
  t.equal(rejected.status, 405)
  t.equal(rejected.headers.get('allow'), 'GET, HEAD')
})

t.test('a literal with escapes matches its equivalent spellings', async t => {
  const { call } = await start(t)
  for (const path of ['/v1/caf%C3%A9/a%2Fb/x', '/v1/caf%c3%a9/a%2fb/x', '/v1/%63af%C3%A9/%61%2Fb/x']) {
    const response = await call(path)
    t.equal(response.status, 200, path)
    t.match(await response.json(), { path: 'x' })
    t.equal((await call(path, { method: 'DELETE' })).headers.get('allow'), 'GET, HEAD')
  }
  for (const path of ['/v1/cafe/a%2Fb/x', '/v1/caf%C3%A9/a/b/x', '/v1/caf%C3%A9/a%252Fb/x'])
    t.equal((await call(path)).status, 404, path)
})

t.test('a path parameter may fill the URL; a longer URL is 414', async t => {
  const { call, upstream } = await start(t)
  for (const prefix of ['/v1/files/', '/v1/caf%C3%A9/a%2Fb/', '/v1/files?note=']) {
    const longest = prefix.padEnd(MAX_URL_LENGTH, 'x')
    const response = await call(longest)
    t.equal(response.status, 200, prefix)
    t.match(await response.json(), { [prefix.includes('?') ? 'note' : 'path']: longest.slice(prefix.length) })
  }
  const calls = upstream.received.length
  for (const [method, path] of [
    ['GET', '/v1/files/'],
    ['GET', '/v1/files?note='],
    ['PUT', '/v1/files/'],
    ['GET', '/none/'],
  ] as const) {
    const response = await call(path.padEnd(MAX_URL_LENGTH + 1, 'x'), { method })
    t.equal(response.status, 414, `${method} ${path}`)
    t.match(await response.json(), { code: 'url_too_long', title: 'URI Too Long' })
  }
  t.equal(upstream.received.length, calls)
})

/** Sends the parts so that each arrives by itself. Returns the status of each response. */
async function statusesOf(port: number, parts: readonly string[]): Promise<number[]> {
  const socket = openWire(port).setNoDelay()
  for (const part of parts) {
    socket.write(part)
    await delay(50)
  }
  return (await readResponses(socket)).map(({ status }) => status)
}

t.test('a URL longer than the 16 KiB of all headers is 414, however it is split; long headers are 431', async t => {
  const { port } = await start(t)
  const long = 'x'.repeat(6000)
  const end = ' HTTP/1.1\r\nHost: x\r\n\r\n'
  const get = `GET /v1/files/a${end}`
  const cases: [name: string, parts: string[], statuses: number[]][] = [
    ['one read', [`GET /${long}${long}${long}${end}`], [414]],
    ['one read of 200 kB', [`GET /${'x'.repeat(200_000)}${end}`], [414]],
    ['several reads', [`GET /${long}`, long, `${long}${end}`], [414]],
    ['a split method', ['G', 'ET', ` /${long}`, long, long, end], [414]],
    ['a kept connection', [get, `GET /${long}`, long, `${long}${end}`], [200, 414]],
    ['pipelined', [get + get + get + get, `GET /${long}`, long, `${long}${end}`], [200, 200, 200, 200, 414]],
    ['in front of it an empty line', ['\r\n', `\r\nGET /${long}`, long, `${long}${end}`], [414]],
    ['a query', [`GET /?${long}`, long, `${long}${end}`], [414]],
    ['a header', [`GET / HTTP/1.1\r\nhost: a\r\nx: ${long}`, long, `${long}\r\n\r\n`], [431]],
    ['a header that looks like a request line', [`GET / HTTP/1.1\r\nx: GET /${long}`, long, long], [431]],
    ['a header after a split URL', [`GET /${long}`, ` HTTP/1.1\r\nx: ${long}`, long], [431]],
    ['a header name', ['GET / HTTP/1.1\r\n', long, long, `${long}: 1\r\n\r\n`], [431]],
  ]
  for (const [name, parts, statuses] of cases) t.same(await statusesOf(port, parts), statuses, name)
})
