/** The header Proxy-Status (RFC 9209) of errors that the gateway itself creates. */
import { Code, PeerStatusError, StatusError } from '#runtime/status.ts'
import { ForwardedError } from './forwarded-error.ts'
import { HttpError } from './http-errors.ts'

/** Error types of RFC 9209 section 2.3 that the gateway reports. */
export type ProxyErrorType =
  | 'connection_limit_reached'
  | 'connection_terminated'
  | 'destination_unavailable'
  | 'http_protocol_error'
  | 'http_request_denied'
  | 'http_request_error'
  | 'http_response_body_size'
  | 'http_response_timeout'
  | 'proxy_internal_error'

/** An error may carry its type, if status and reason do not determine it. */
interface Typed {
  readonly proxyError?: ProxyErrorType
}

const BY_REASON: ReadonlyMap<string | undefined, ProxyErrorType> = new Map<string | undefined, ProxyErrorType>([
  ['upstream_overloaded', 'connection_limit_reached'],
  ['upstream_answer_too_large', 'http_response_body_size'],
])

const DENIED: ReadonlySet<number> = new Set([401, 403, 429])

/**
 * Returns the value of the header.
 * @param status HTTP status of the response.
 * @returns undefined for an error of an upstream.
 */
export function proxyStatusOf(error: unknown, status: number): string | undefined {
  if (error instanceof PeerStatusError || error instanceof ForwardedError) return undefined
  return `gatehouse; error=${typeOf(error, status)}`
}

function typeOf(error: unknown, status: number): ProxyErrorType {
  if (error instanceof StatusError) {
    const type = (error as Typed).proxyError ?? BY_REASON.get(error.reason)
    if (type !== undefined) return type
    if (error.code === Code.DEADLINE_EXCEEDED) return 'http_response_timeout'
    // The gateway derives these codes from a response that is not one of gRPC.
    if (error.code === Code.INTERNAL || error.code === Code.UNKNOWN || error.code === Code.UNIMPLEMENTED) {
      return 'http_protocol_error'
    }
    if (error.code === Code.UNAVAILABLE) return 'destination_unavailable'
  }
  if (status >= 500 && !(error instanceof HttpError)) return 'proxy_internal_error'
  return DENIED.has(status) ? 'http_request_denied' : 'http_request_error'
}
