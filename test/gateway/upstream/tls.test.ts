/** TLS and mutual TLS of both transports, with servers of grpc-js and grpc-go. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { createHttp2Transport } from '../../../gateway/upstream/http2/transport.ts'
import type { TlsCredentials } from '../../../gateway/upstream/tls-credentials.ts'
import { Code } from '../../../runtime/status.ts'
import { issueCertificates } from '../../support/grpc-peers/certificates.ts'
import { grpcGo } from '../../support/grpc-peers/grpc-go-peer.ts'
import { grpcJs } from '../../support/grpc-peers/grpc-js-peer.ts'
import type { Certificates } from '../../support/grpc-peers/peer.ts'
import { echo, rejectionOf, TRANSPORTS } from '../../support/grpc-peers/peer-calls.ts'
import { RawConnection, response } from '../../support/grpc-peers/raw-peer.ts'

// The first run builds the Go server.
t.setTimeout(600_000)

const withoutOpenssl = await execa('openssl', ['version']).then(
  () => false as const,
  () => 'openssl is not installed',
)

t.test('calls over TLS', { skip: withoutOpenssl }, async t => {
  const certificates = await issueCertificates()
  const client = toCredentials(certificates.client)
  const other = toCredentials((await issueCertificates()).client)
  const rejected: Record<string, TlsCredentials | undefined> = {
    'a server certificate of an unknown authority': { ...client, ca: other.ca },
    'a server certificate that no bundled authority issued': { ...client, ca: undefined },
    'a server certificate for another name': { ...client, serverName: 'users.internal' },
    'a client without a certificate': { ca: client.ca, serverName: 'localhost' },
    'a client certificate of an unknown authority': { ...other, ca: client.ca },
    'a client without TLS': undefined,
  }

  t.test('transport http2 rejects a server that does not negotiate h2 by ALPN, even if it supports HTTP/2', async t => {
    const connections: RawConnection[] = []
    const server = tls.createServer(certificates.server, socket => {
      const connection = new RawConnection(socket)
      connections.push(connection)
      const serve = async () => {
        await connection.handshake()
        connection.send(response(await connection.request(), 'served'))
      }
      serve().catch(() => {})
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const logged: string[] = []
    const transport = createHttp2Transport({
      address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      maxMessageLength: 4_000_000,
      tls: client,
      logger: { warn: (_: object, message: string) => logged.push(message) } as never,
    })
    t.teardown(() => transport.close())
    t.equal((await rejectionOf(echo(transport))).code, Code.UNAVAILABLE)
    t.match(logged[0], /does not offer HTTP\/2 by ALPN/)
    t.notOk(
      connections.some(({ frames }) => frames.length > 0),
      'the client sends nothing',
    )
  })

  for (const kind of [grpcJs, grpcGo]) {
    const skip = (await kind.prepare()) ?? false
    for (const [name, create] of Object.entries(TRANSPORTS)) {
      t.test(`transport ${name} with ${kind.name}`, { skip }, async t => {
        const peer = await kind.start({ certificates: certificates.server })
        t.teardown(() => peer.kill())
        const open = (t: Test, address: string, tls: TlsCredentials | undefined) => {
          const transport = create({ address, maxMessageLength: 4_000_000, tls })
          t.teardown(() => transport.close())
          return transport
        }

        t.test('mutual TLS succeeds with the certificates of both sides', async t => {
          const transport = open(t, peer.address, client)
          const body = Buffer.alloc(1_000_000, 7)
          t.ok(body.equals(await echo(transport, { body })))
        })

        t.test('the server certificate is verified against the host of the address by default', async t => {
          const transport = open(t, `localhost:${peer.port}`, { ...client, serverName: undefined })
          t.equal((await echo(transport)).toString(), 'x')
        })

        for (const [description, tls] of Object.entries(rejected)) {
          t.test(`the handshake fails with ${description}`, async t => {
            t.equal((await rejectionOf(echo(open(t, peer.address, tls)))).code, Code.UNAVAILABLE)
          })
        }
      })
    }
  }
})

function toCredentials({ ca, cert, key }: Certificates): TlsCredentials {
  return { ca: Buffer.from(ca), cert: Buffer.from(cert), key: Buffer.from(key), serverName: 'localhost' }
}
