/** How an answer becomes a gRPC status. */
import { Code, StatusError, unpackDetails } from '#runtime/status.ts'
import { timeLeft } from '../deadline.ts'
import { NotProcessedError } from '../transport.ts'
import { ErrorCode, errorName } from './protocol.ts'
import type { ResponseHead } from './response-head.ts'

// https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
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

// gRPC over HTTP/2 "Errors"; what is not here is INTERNAL.
const FROM_HTTP2 = new Map<number, Code>([
  [ErrorCode.REFUSED_STREAM, Code.UNAVAILABLE],
  [ErrorCode.CANCEL, Code.CANCELLED],
  [ErrorCode.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED],
  [ErrorCode.INADEQUATE_SECURITY, Code.PERMISSION_DENIED],
])

/** @param trailers the block that ended the answer. @returns undefined for OK. */
export function statusOf(trailers: ResponseHead, httpStatus: number): StatusError | undefined {
  const { grpcStatus } = trailers
  if (grpcStatus === '0') return undefined
  if (grpcStatus === undefined) {
    const message = httpStatus === 200 ? 'The answer has no grpc-status' : `The answer is HTTP ${httpStatus}`
    return new StatusError(FROM_HTTP.get(httpStatus) ?? Code.UNKNOWN, message)
  }
  const message = decodeMessage(trailers.grpcMessage ?? '')
  if (!/^[1-9]$|^1[0-6]$/.test(grpcStatus)) {
    return new StatusError(Code.UNKNOWN, message === '' ? `The answer has grpc-status ${grpcStatus}` : message)
  }
  const packed = trailers.grpcStatusDetails
  return new StatusError(
    Number(grpcStatus) as Code,
    message,
    packed === undefined ? {} : unpackDetails(Buffer.from(packed, 'base64')),
  )
}

/** For an answer whose content type is not gRPC's: it comes from a proxy, or from no gRPC server. */
export function notGrpc({ httpStatus, contentType }: ResponseHead): StatusError {
  const what = contentType === undefined ? 'no content type' : `content type ${contentType}`
  return new StatusError(FROM_HTTP.get(httpStatus) ?? Code.UNKNOWN, `The answer is HTTP ${httpStatus} with ${what}`)
}

/** @param deadline a server that gives up at the deadline may reset the stream before our own clock says so. */
export function statusOfReset(http2Code: number, deadline: number): StatusError {
  if (http2Code === ErrorCode.REFUSED_STREAM) return new NotProcessedError('The upstream refused the call')
  if (http2Code === ErrorCode.CANCEL && timeLeft(deadline) <= 0) return deadlineExceeded()
  const code = FROM_HTTP2.get(http2Code) ?? Code.INTERNAL
  return new StatusError(code, `The upstream reset the call with ${errorName(http2Code)}`)
}

export function deadlineExceeded(): StatusError {
  return new StatusError(Code.DEADLINE_EXCEEDED, 'The deadline has passed')
}

/** Percent-decodes grpc-message. What is not valid stands as it is, as the specification asks. */
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

export function protocolViolation(why: string): StatusError {
  return new StatusError(Code.INTERNAL, `The answer breaks the protocol: ${why}`)
}
