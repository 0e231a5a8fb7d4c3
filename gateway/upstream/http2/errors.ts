import type { StatusError } from '#runtime/status.ts'
import { ErrorCode } from './protocol.ts'

/**
 * A connection error of the peer (RFC 9113 section 5.4.1). The connection sends GOAWAY with `http2Code` and closes, and
 * every call on it fails with UNAVAILABLE.
 */
export class ConnectionError extends Error {
  override name = 'ConnectionError'
  readonly http2Code: number

  constructor(http2Code: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.http2Code = http2Code
  }
}

/**
 * A stream error of the peer (RFC 9113 section 5.4.2). The stream is reset with `http2Code`, and its call fails with
 * `status`.
 */
export class StreamError extends Error {
  override name = 'StreamError'
  readonly http2Code: number
  readonly status: StatusError

  constructor(http2Code: number, status: StatusError) {
    super(status.message, { cause: status })
    this.http2Code = http2Code
    this.status = status
  }
}

/** A connection error of type PROTOCOL_ERROR. */
export function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, message)
}
