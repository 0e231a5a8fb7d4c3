/** Servers that do not speak HTTP/2, or not with these TLS settings: errors of the configuration. */
import { ConnectionError } from './errors.ts'
import { ErrorCode } from './protocol.ts'

/** The message says what the server speaks, and the cure in terms of the upstream's entry in `gateway.yaml`. */
export class ForeignProtocolError extends ConnectionError {
  override name = 'ForeignProtocolError'

  constructor(message: string, cause?: Error) {
    super(ErrorCode.PROTOCOL_ERROR, message, { cause })
  }
}

const NO_HTTP2 = 'it is not a gRPC server. Correct `address`'

/** Describes a server whose first bytes are not HTTP/2. */
export function describeFirstBytes(bytes: Buffer, cause?: Error): ForeignProtocolError {
  const start = bytes.toString('latin1', 0, 5)
  if (start === 'HTTP/') return new ForeignProtocolError(`The server responds in HTTP/1: ${NO_HTTP2}`, cause)
  // A TLS alert, RFC 8446 section 5.1.
  if (start.startsWith('\x15\x03')) return new ForeignProtocolError('The server expects TLS. Add `tls`', cause)
  return new ForeignProtocolError(`The server does not respond in HTTP/2: ${NO_HTTP2}`, cause)
}

/** Describes an error of the TLS handshake. @returns `error` if the settings are not its cause. */
export function describeTlsError(error: Error): Error {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return new ForeignProtocolError('The server does not speak TLS. Remove `tls`, or correct `address`', error)
    case 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL':
      return withoutHttp2(error)
    default:
      return error
  }
}

/** A TLS server that did not select h2 by ALPN (RFC 7301). */
export function withoutHttp2(cause?: Error): ForeignProtocolError {
  return new ForeignProtocolError(`The server does not offer HTTP/2 by ALPN: ${NO_HTTP2}`, cause)
}
