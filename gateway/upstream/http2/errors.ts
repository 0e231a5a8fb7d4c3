import type { StatusError } from '#runtime/status.ts'
import { ErrorCode } from './protocol.ts'

/** A connection error of the peer, RFC 9113 section 5.4.1. Closes the connection with GOAWAY; its calls are UNAVAILABLE. */
export class ConnectionError extends Error {
  override name = 'ConnectionError'
  readonly http2Code: number

  constructor(http2Code: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.http2Code = http2Code
  }
}

/** A stream error of the peer, RFC 9113 section 5.4.2. Resets the stream; its call fails with `status`. */
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

export function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, message)
}
