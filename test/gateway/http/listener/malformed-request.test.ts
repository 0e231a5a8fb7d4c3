import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createHttp1Listener } from '../../../../gateway/http/listener/http1-listener.ts'
import { createMalformedResponse } from '../../../../gateway/http/listener/malformed-request.ts'
import { createRejection } from '../../../../gateway/http/listener/rejection.ts'
import { UNLIMITED } from './unlimited.ts'

/** Starts a server. `send` writes `request` to a new connection and returns the whole response. */
async function start(t: Test) {
  const rejected: number[] = []
  const listener = createHttp1Listener({
    ...UNLIMITED,
    malformedResponse: createMalformedResponse(
      pino({ level: 'silent' }),
      status => rejected.push(status),
      createRejection({}, []),
    ),
    onRejected: () => {},
  })
  const app = Fastify({ serverFactory: listener.serve, clientErrorHandler: listener.handleClientError })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const send = (request: string) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.write(request)
    return text(socket).finally(() => socket.destroy())
  }
  return { send, rejected }
}

const HOST = 'host: localhost\r\n'

t.test('a request that the parser rejects gets a problem document, and its connection is closed', async t => {
  const { send, rejected } = await start(t)
  const cases: [request: string, status: number, code: string, detail: RegExp][] = [
    ['not HTTP\r\n\r\n', 400, 'bad_request', /^Malformed HTTP request: .+\.$/],
    [`GET / HTTP/1.1\r\n${HOST}content-length: 1\r\ncontent-length: 2\r\n\r\n`, 400, 'bad_request', /Content-Length/],
    [
      `PUT / HTTP/1.1\r\n${HOST}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      'bad_request',
      /Content-Length|Transfer-Encoding/,
    ],
    [`GET / HTTP/1.1\r\n${HOST}bad header: 1\r\n\r\n`, 400, 'bad_request', /^Malformed HTTP request: .+\.$/],
    [`GET / HTTP/1.1\r\n${HOST}x: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large', /16 KiB/],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'http_version_not_supported', /HTTP\/1\.1/],
  ]
  for (const [request, status, code, detail] of cases) {
    const response = await send(request)
    const [head = '', body = ''] = response.split('\r\n\r\n')
    const problem = JSON.parse(body)
    t.match(head, new RegExp(`^HTTP/1.1 ${status} `))
    t.match(head, /^content-type: application\/problem\+json; charset=utf-8$/im)
    t.match(head, /^connection: close$/im)
    t.match(head, new RegExp(`^x-request-id: ${problem.trace_id}$`, 'im'))
    t.match(problem, { status, code, detail })
  }
  t.same(rejected, [400, 400, 400, 400, 431, 505], 'each rejected request is counted once')
})

t.test('a request line that is valid apart from its unknown method gets 501, anything else 400', async t => {
  const { send } = await start(t)
  const rest = `HTTP/1.1\r\n${HOST}\r\n`
  const cases: [line: string, status: number][] = [
    ['FOO /', 501],
    ['F!O#$ /', 501],
    ['get /', 501],
    ['GETX /', 501],
    ['VERSION-CONTROL /', 501],
    ['\r\nFOO /', 501],
    ['FOO', 400],
    ['F(O /', 400],
    ['\x16\x03\x01', 400],
  ]
  for (const [line, status] of cases) {
    const response = await send(`${line} ${rest}`)
    t.match(response, new RegExp(`^HTTP/1.1 ${status} `), line)
  }
  t.match(await send(`FOO / HTTQ/1.1\r\n${HOST}\r\n`), /^HTTP\/1\.1 400 /)
})
