/** Servers that are not gRPC servers, or need other TLS settings: the log names the upstream, its file and the cure. */
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { createHttp2Transport } from '../../../../gateway/upstream/http2/transport.ts'
import { issueCertificates } from '../../../support/grpc-peers/certificates.ts'

const { server: identity, client } = await issueCertificates()
const secure = { key: identity.key, cert: identity.cert }
const TLS = { ca: Buffer.from(client.ca), serverName: 'localhost' }

/** Responds to the first bytes of a connection. */
const rawServer = (respond: (socket: net.Socket) => void) =>
  net.createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => respond(socket))
  })

const CASES: [name: string, server: net.Server, tls: typeof TLS | undefined, message: string][] = [
  [
    'an HTTP/1.1 server',
    http.createServer(),
    undefined,
    'responds in HTTP/1: it is not a gRPC server. Correct `address`',
  ],
  [
    'an HTTP/1.1 server whose response arrives in small pieces',
    rawServer(socket => {
      socket.setNoDelay(true)
      socket.write('HTTP/')
      setTimeout(() => socket.end('1.1 400 Bad Request\r\n\r\n'), 50)
    }),
    undefined,
    'responds in HTTP/1: it is not a gRPC server. Correct `address`',
  ],
  [
    'a server of another protocol',
    rawServer(socket => socket.end('-ERR unknown command\r\n')),
    undefined,
    'does not respond in HTTP/2: it is not a gRPC server. Correct `address`',
  ],
  [
    'a TLS server that sends an alert',
    rawServer(socket => socket.end(Buffer.from('15030300020246', 'hex'))),
    undefined,
    'expects TLS. Add `tls`',
  ],
  ['a server without TLS', http2.createServer(), TLS, 'does not speak TLS. Remove `tls`, or correct `address`'],
  [
    'an HTTPS server without HTTP/2',
    https.createServer(secure),
    TLS,
    'does not offer HTTP/2 by ALPN: it is not a gRPC server. Correct `address`',
  ],
  [
    'a TLS server without ALPN',
    tls.createServer(secure),
    TLS,
    'does not offer HTTP/2 by ALPN: it is not a gRPC server. Correct `address`',
  ],
]

for (const [name, server, tls, message] of CASES) {
  t.test(`${name} is logged with the upstream, the file and the cure`, async t => {
    t.same(await firstWarning(t, server, tls), {
      fields: { upstream: 'books', file: '/srv/gateway.yaml' },
      text: `upstream books is misconfigured: ADDRESS: The server ${message} in /srv/gateway.yaml`,
    })
  })
}

t.test('the log suggests TLS if a server closes each connection before it sends SETTINGS', async t => {
  const { text } = await firstWarning(t, https.createServer(secure), undefined)
  t.equal(text, 'ADDRESS: The peer closed the connection before it sent SETTINGS. If it expects TLS, add `tls`')
})

/** @returns the first warning about the server; its address is replaced. */
async function firstWarning(t: Test, server: net.Server, tls: typeof TLS | undefined) {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = `127.0.0.1:${(server.address() as net.AddressInfo).port}`
  const { promise, resolve } = Promise.withResolvers<[fields: Record<string, unknown>, message: string]>()
  const transport = createHttp2Transport({
    address,
    maxMessageLength: 1000,
    tls,
    logger: { warn: (...line: unknown[]) => resolve(line as [Record<string, unknown>, string]) } as never,
    name: 'books',
    file: '/srv/gateway.yaml',
  })
  t.teardown(async () => {
    await transport.close()
    server.close()
  })
  const [{ address: logged, err, ...fields }, message] = await promise
  t.equal(logged, address)
  const text = err instanceof Error ? err.message : message
  return { fields, text: text.replaceAll(address, 'ADDRESS') }
}
