import type { StatusError } from '#runtime/status.ts'

/** What the peer did breaks the connection: GOAWAY with this code, and every call on it fails. RFC 9113 section 5.4.1. */
export class ConnectionError extends Error {
  override name = 'ConnectionError'
  readonly http2Code: number

  constructor(http2Code: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.http2Code = http2Code
  }
}

/** What the peer did breaks one stream: RST_STREAM with this code, and the stream's call fails with this status. */
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
