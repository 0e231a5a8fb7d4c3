/** Maps the end of a response, an HTTP status or an HTTP/2 error code to a gRPC status. */
import { Code, PeerStatusError, StatusError } from '#runtime/status.ts'
import { timeLeft } from '../deadline.ts'
import { NotProcessedError } from '../transport.ts'
import { ErrorCode, errorName } from './protocol.ts'
import type { ResponseHeaders } from './response-headers.ts'

// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md; others are UNKNOWN.
const FROM_HTTP = new Map([
  [400, Code.INTERNAL],
  [401, Code.UNAUTHENTICATED],
  [403, Code.PERMISSION_DENIED],
  [404, Code.UNIMPLEMENTED],
  [429, Code.UNAVAILABLE],
  [502, Code.UNAVAILABLE],
  [503, Code.UNAVAILABLE],
  [504, Code.UNAVAILABLE],
])

// gRPC over HTTP/2, "Errors"; others are INTERNAL.
const FROM_HTTP2 = new Map<number, Code>([
  [ErrorCode.REFUSED_STREAM, Code.UNAVAILABLE],
  [ErrorCode.CANCEL, Code.CANCELLED],
  [ErrorCode.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED],
  [ErrorCode.INADEQUATE_SECURITY, Code.PERMISSION_DENIED],
])

/** The status of a response. @param trailers the header block that ended it. @returns undefined for OK. */
export function statusOf(trailers: ResponseHeaders, httpStatus: number): StatusError | undefined {
  const { grpcStatus } = trailers
  if (grpcStatus === '0') return undefined
  if (grpcStatus === undefined) {
    const message =
      httpStatus === 200 ? 'The response has no grpc-status' : `The response has HTTP status ${httpStatus}`
    return new StatusError(FROM_HTTP.get(httpStatus) ?? Code.UNKNOWN, message)
  }
  const message = decodeMessage(trailers.grpcMessage ?? '')
  if (!/^[1-9]$|^1[0-6]$/.test(grpcStatus)) {
    return new StatusError(Code.UNKNOWN, message === '' ? `The response has grpc-status ${grpcStatus}` : message)
  }
  const packed = trailers.grpcStatusDetails
  return new PeerStatusError(
    Number(grpcStatus) as Code,
    message,
    packed === undefined ? undefined : Buffer.from(packed, 'base64'),
  )
}

/** The status of a response whose content type is not gRPC's. A proxy sent it, or the server is not a gRPC server. */
export function notGrpc({ httpStatus, contentType }: ResponseHeaders): StatusError {
  const description = contentType === undefined ? 'no content type' : `content type ${contentType}`
  return new StatusError(
    FROM_HTTP.get(httpStatus) ?? Code.UNKNOWN,
    `The response is not gRPC: HTTP status ${httpStatus} with ${description}`,
  )
}

/**
 * The status of a stream that the peer reset.
 * @param deadline in milliseconds of `performance.now()`. After it, CANCEL is DEADLINE_EXCEEDED: servers reset the stream
 * at the deadline, which may be seen before the client's own timer fires.
 */
export function statusOfReset(http2Code: number, deadline: number): StatusError {
  if (http2Code === ErrorCode.REFUSED_STREAM) return new NotProcessedError('The upstream refused the call')
  if (http2Code === ErrorCode.CANCEL && timeLeft(deadline) <= 0) return deadlineExceeded()
  const code = FROM_HTTP2.get(http2Code) ?? Code.INTERNAL
  return new StatusError(code, `The upstream reset the stream with ${errorName(http2Code)}`)
}

/** The status of a call that has no response at its deadline. */
export function deadlineExceeded(): StatusError {
  return new StatusError(Code.DEADLINE_EXCEEDED, 'Deadline exceeded')
}

/** The status of a malformed response. */
export function protocolViolation(reason: string): StatusError {
  return new StatusError(Code.INTERNAL, `The response violates the protocol: ${reason}`)
}

/** Percent-decodes grpc-message. Invalid escapes are kept, as gRPC over HTTP/2 ("Responses") requires. */
function decodeMessage(text: string): string {
  const bytes = Buffer.from(text, 'latin1')
  let length = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number
    const escaped = byte === 0x25 ? hexPair(bytes, at + 1) : undefined
    bytes[length++] = escaped ?? byte
    if (escaped !== undefined) at += 2
  }
  return bytes.toString('utf8', 0, length)
}

function hexPair(bytes: Buffer, at: number): number | undefined {
  const pair = bytes.toString('latin1', at, at + 2)
  return /^[0-9A-Fa-f]{2}$/.test(pair) ? Number.parseInt(pair, 16) : undefined
}
