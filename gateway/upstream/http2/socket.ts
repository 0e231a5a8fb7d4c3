import net from 'node:net'
import tls from 'node:tls'
import type { TlsCredentials } from '../tls-credentials.ts'
import { describeTlsError, withoutHttp2 } from './foreign-protocol.ts'
import type { Endpoint } from './target.ts'

/** TLS credentials and the name that the server's certificate is verified against. */
export type TlsSettings = TlsCredentials & { readonly serverName: string }

export interface SocketEvents {
  /** TCP is connected, or the TLS handshake is complete and negotiated h2. */
  onConnect(): void
  /** The first `length` bytes of `bytes` were received. The buffer is overwritten by the next read. */
  onBytes(bytes: Buffer, length: number): void
  /** @param error undefined if the peer closed the connection. */
  onClose(error: Error | undefined): void
}

const READ_LENGTH = 64 * 1024

/** Opens a TCP connection, or a TLS one if `secure` is given. Reads go into one buffer and bypass the stream machinery. */
export function openSocket(endpoint: Endpoint, secure: TlsSettings | undefined, events: SocketEvents): net.Socket {
  const onread = {
    buffer: Buffer.allocUnsafeSlow(READ_LENGTH),
    callback(length: number, bytes: Uint8Array): boolean {
      events.onBytes(bytes as Buffer, length)
      return true
    },
  }
  const socket = secure === undefined ? net.connect({ ...endpoint, onread }) : connectTls(endpoint, secure, onread)
  let failure: Error | undefined
  socket.setNoDelay(true)
  socket.on('error', error => {
    failure = describeTlsError(error)
  })
  socket.on('close', () => events.onClose(failure))
  socket.on(secure === undefined ? 'connect' : 'secureConnect', () => {
    if (socket instanceof tls.TLSSocket && socket.alpnProtocol !== 'h2') {
      socket.destroy(withoutHttp2())
    } else {
      events.onConnect()
    }
  })
  return socket
}

function connectTls(endpoint: Endpoint, secure: TlsSettings, onread: net.OnReadOpts): tls.TLSSocket {
  const { serverName, ...credentials } = secure
  // TLSSocket passes `onread` to net.Socket; its types lack the option.
  const options: tls.ConnectionOptions & { onread: net.OnReadOpts } = {
    ...endpoint,
    ...credentials,
    // SNI must not be an IP address (RFC 6066 section 3). The certificate is then verified against `host`.
    ...(net.isIP(serverName) === 0 ? { servername: serverName } : { host: endpoint.host }),
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.2',
    onread,
  }
  return tls.connect(options)
}
