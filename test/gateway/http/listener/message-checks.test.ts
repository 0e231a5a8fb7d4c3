import t from 'tap'
import { exchange } from '../../../support/http-wire.ts'
import { startNotes } from './notes-gateway.ts'

const CLOSE = 'connection: close\r\n'
const request = (line: string, headers: string, body = '') => `${line}\r\n${headers}${CLOSE}\r\n${body}`
const withHost = (host: string) => request('GET /v1/notes/a HTTP/1.1', `host:${host}\r\n`)

t.test('an HTTP message that RFC 9112 calls invalid is refused with a problem document', async t => {
  const { port, upstream } = await startNotes(t, ({ message }) => message)
  const refused: [what: string, request: string, status: number, code: string][] = [
    ['two Host fields', request('GET /v1/notes/a HTTP/1.1', 'host: a\r\nHost: b\r\n'), 400, 'bad_request'],
    ['two equal Host fields', request('GET /v1/notes/a HTTP/1.1', 'host: a\r\nhost: a\r\n'), 400, 'bad_request'],
    ['no Host field', request('GET /v1/notes/a HTTP/1.1', ''), 400, 'bad_request'],
    ...['', 'a b', 'a@b', 'http://a', '[::1', '[::1]x', '::1', 'a:b', 'a:80:80', 'a/b', 'a?b', 'a#b', 'a,b', '%zz', 'ä']
      .map(host => [`Host "${host}"`, withHost(` ${host}`), 400, 'bad_request'] as const)
      .map(row => [...row] as [string, string, number, string]),
    ['no version', 'GET /v1/notes/a\r\n\r\n', 400, 'bad_request'],
    ['HTTP/0.9', request('GET /v1/notes/a HTTP/0.9', 'host: a\r\n'), 400, 'bad_request'],
    ['HTTP/2.0', request('GET /v1/notes/a HTTP/2.0', 'host: a\r\n'), 505, 'http_version_not_supported'],
    ['HTTP/3.0', request('GET /v1/notes/a HTTP/3.0', 'host: a\r\n'), 400, 'bad_request'],
    [
      'Transfer-Encoding: gzip, chunked',
      request(
        'POST /v1/notes HTTP/1.1',
        'host: a\r\ncontent-type: application/json\r\ntransfer-encoding: gzip, chunked\r\n',
        '2\r\n{}\r\n0\r\n\r\n',
      ),
      501,
      'transfer_coding_not_supported',
    ],
    [
      'Transfer-Encoding in two fields',
      request(
        'POST /v1/notes HTTP/1.1',
        'host: a\r\ncontent-type: application/json\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n',
        '2\r\n{}\r\n0\r\n\r\n',
      ),
      501,
      'transfer_coding_not_supported',
    ],
    [
      'chunked twice',
      request(
        'POST /v1/notes HTTP/1.1',
        'host: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked, chunked\r\n',
        '2\r\n{}\r\n0\r\n\r\n',
      ),
      400,
      'bad_request',
    ],
    [
      'Transfer-Encoding in HTTP/1.0',
      request(
        'POST /v1/notes HTTP/1.0',
        'host: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n',
        '2\r\n{}\r\n0\r\n\r\n',
      ),
      400,
      'bad_request',
    ],
    [
      'two Authorization fields',
      request('GET /v1/notes/a HTTP/1.1', 'host: a\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\n'),
      400,
      'bad_request',
    ],
    [
      'two Content-Type fields',
      request(
        'POST /v1/notes HTTP/1.1',
        'host: a\r\ncontent-type: application/json\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n',
        '{}',
      ),
      400,
      'bad_request',
    ],
    ['a path without a route', request('GET /none HTTP/1.1', 'host: a b\r\n'), 400, 'bad_request'],
    ['a path that the router rejects', request('GET /%ff HTTP/1.1', 'host: a\r\nhost: b\r\n'), 400, 'bad_request'],
    ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n', 501, 'method_not_implemented'],
    ['a health check', request('GET /healthz HTTP/1.1', 'host: a b\r\n'), 400, 'bad_request'],
  ]
  for (const [what, bytes, status, code] of refused) {
    const responses = await exchange(port, bytes)
    t.same(
      responses.map(response => response.status),
      [status],
      what,
    )
    t.match(JSON.parse(responses[0]?.body ?? '{}'), { status, code }, what)
    t.equal(responses[0]?.headers.connection, 'close', `${what}: the connection is closed`)
  }
  t.same(upstream.received, [])
})

t.test('an HTTP message with an unusual but valid Host or version is served', async t => {
  const { port } = await startNotes(t, ({ message }) => message)
  const hosts = [
    'a',
    'a:',
    'a:80',
    'A.example.',
    '127.0.0.1:3000',
    '[::1]',
    '[::1]:80',
    '[v1.x:y]',
    'a_b',
    'a%20b',
    "a!$&'()*+;=",
  ]
  const served = [
    ...hosts.map(host => withHost(` ${host}`)),
    withHost('a'),
    request('GET /v1/notes/a HTTP/1.0', ''),
    request('GET http://b/v1/notes/a HTTP/1.1', 'host: a\r\n'),
    request(
      'POST /v1/notes HTTP/1.1',
      'host: a\r\ncontent-type: application/json\r\ntransfer-encoding: Chunked\r\n',
      '2\r\n{}\r\n0\r\n\r\n',
    ),
  ]
  for (const bytes of served) {
    const responses = await exchange(port, bytes)
    t.match(responses, [{ status: /^20[01]$/ }], JSON.stringify(bytes.slice(0, 70)))
  }
})
