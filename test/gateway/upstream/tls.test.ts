/** TLS and mutual TLS by both transports, with servers of grpc-js and grpc-go. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { deadlineIn } from '../../../gateway/upstream/deadline.ts'
import { createGrpcJsTransport } from '../../../gateway/upstream/grpc-js/transport.ts'
import { createHttp2Transport } from '../../../gateway/upstream/http2/transport.ts'
import type { TlsCredentials } from '../../../gateway/upstream/tls-credentials.ts'
import type { Transport } from '../../../gateway/upstream/transport.ts'
import { Code, type StatusError } from '../../../runtime/status.ts'
import { issueCertificates } from '../../support/grpc-peers/certificates.ts'
import { grpcGo } from '../../support/grpc-peers/grpc-go-peer.ts'
import { grpcJs } from '../../support/grpc-peers/grpc-js-peer.ts'
import { type Certificates, peerMethod } from '../../support/grpc-peers/peer.ts'
import { answer, RawConnection } from '../../support/grpc-peers/raw-peer.ts'

// Go may have to be built first.
t.setTimeout(600_000)

const TRANSPORTS = { 'our own transport': createHttp2Transport, 'grpc-js as a transport': createGrpcJsTransport }

const withoutOpenssl = await execa('openssl', ['version']).then(
  () => false as const,
  () => 'openssl is not installed',
)

t.test('TLS', { skip: withoutOpenssl }, async t => {
  const certificates = await issueCertificates()
  const client = toCredentials(certificates.client)
  const other = toCredentials((await issueCertificates()).client)
  const refused: Record<string, TlsCredentials | undefined> = {
    'a server of an unknown authority': { ...client, ca: other.ca },
    'a server of an authority that Node does not come with': { ...client, ca: undefined },
    'a server of another name': { ...client, serverName: 'users.internal' },
    'a client without a certificate': { ca: client.ca, serverName: 'localhost' },
    'a client of an unknown authority': { ...other, ca: client.ca },
    'a client that speaks plain text': undefined,
  }

  t.test('our own transport refuses a server that does not choose HTTP/2, even if it speaks it', async t => {
    const connections: RawConnection[] = []
    const server = tls.createServer(certificates.server, socket => {
      const connection = new RawConnection(socket)
      connections.push(connection)
      const serve = async () => {
        await connection.handshake()
        connection.send(answer(await connection.request(), 'served'))
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
      logger: { warn: (fields: { err: Error }) => logged.push(fields.err.message) } as never,
    })
    t.teardown(() => transport.close())
    t.equal((await failure(echo(transport))).code, Code.UNAVAILABLE)
    t.match(logged[0], /did not negotiate h2 by ALPN/)
    t.notOk(
      connections.some(({ frames }) => frames.length > 0),
      'it is not even greeted',
    )
  })

  for (const kind of [grpcJs, grpcGo]) {
    const skip = (await kind.prepare()) ?? false
    for (const [name, create] of Object.entries(TRANSPORTS)) {
      t.test(`${name} with ${kind.name}`, { skip }, async t => {
        const peer = await kind.start({ certificates: certificates.server })
        t.teardown(() => peer.kill())
        const open = (t: Test, address: string, tls: TlsCredentials | undefined) => {
          const transport = create({ address, maxMessageLength: 4_000_000, tls })
          t.teardown(() => transport.close())
          return transport
        }

        t.test('both sides show who they are', async t => {
          const transport = open(t, peer.address, client)
          const body = Buffer.alloc(1_000_000, 7)
          t.ok(body.equals(await echo(transport, body)))
        })

        t.test('the name in the address is the one that counts, unless another is given', async t => {
          const transport = open(t, `localhost:${peer.port}`, { ...client, serverName: undefined })
          t.equal((await echo(transport, Buffer.from('x'))).toString(), 'x')
        })

        for (const [what, tls] of Object.entries(refused)) {
          t.test(`it is refused: ${what}`, async t => {
            t.equal((await failure(echo(open(t, peer.address, tls)))).code, Code.UNAVAILABLE)
          })
        }
      })
    }
  }
})

function toCredentials({ ca, cert, key }: Certificates): TlsCredentials {
  return { ca: Buffer.from(ca), cert: Buffer.from(cert), key: Buffer.from(key), serverName: 'localhost' }
}

function echo(transport: Transport, body = Buffer.from('x')): Promise<Buffer> {
  return transport.unary(peerMethod('Echo'), body, {}, deadlineIn(10_000)) as Promise<Buffer>
}

async function failure(call: Promise<unknown>): Promise<StatusError> {
  try {
    await call
  } catch (error) {
    return error as StatusError
  }
  throw new Error('The call did not fail')
}
