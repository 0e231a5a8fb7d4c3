import net from 'node:net'
import tls from 'node:tls'
import type { TlsCredentials } from '../tls-credentials.ts'

export interface Endpoint {
  /** An address, or a name that the system resolves. */
  readonly host: string
  readonly port: number
}

export type TlsSettings = TlsCredentials & { readonly serverName: string }

export interface SocketEvents {
  onConnect(): void
  /** `bytes` is overwritten by the next read. */
  onBytes(bytes: Buffer, length: number): void
  onClose(error: Error | undefined): void
}

const READ_LENGTH = 64 * 1024

/** A TCP or TLS connection whose reads go into one buffer, past the stream machinery. */
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
    failure = error
  })
  socket.on('close', () => events.onClose(failure))
  socket.on(secure === undefined ? 'connect' : 'secureConnect', () => {
    if (socket instanceof tls.TLSSocket && socket.alpnProtocol !== 'h2') {
      socket.destroy(new Error('The peer does not speak HTTP/2: it chose no h2 by ALPN'))
    } else {
      events.onConnect()
    }
  })
  return socket
}

function connectTls(endpoint: Endpoint, secure: TlsSettings, onread: net.OnReadOpts): tls.TLSSocket {
  const { serverName, ...credentials } = secure
  // TLSSocket passes `onread` on to net.Socket; its types do not know it.
  const options: tls.ConnectionOptions & { onread: net.OnReadOpts } = {
    ...endpoint,
    ...credentials,
    // SNI takes no addresses (RFC 6066 section 3); the certificate is checked against the host then.
    ...(net.isIP(serverName) === 0 ? { servername: serverName } : { host: endpoint.host }),
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.2',
    onread,
  }
  return tls.connect(options)
}
