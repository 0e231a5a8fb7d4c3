/** Responds to requests that Node's HTTP parser rejects. Fastify runs no route and no hook for them. */
import { context } from '@opentelemetry/api'
import type { Logger } from '#runtime/observability/logger.ts'
import { acceptTrace } from '#runtime/observability/request-trace.ts'
import { HttpError, type HttpErrorCode } from '../http-errors.ts'
import type { ParserError } from './listener.ts'
import { originIn, type Rejection, renderResponse } from './rejection.ts'
import { hasOtherMethod, isInTarget } from './request-line.ts'

/** Codes of Node's parser and server. Any other code is reported as `bad_request`. */
const BY_PARSER_CODE: Record<string, HttpErrorCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  // The preface of HTTP/2 (RFC 9113 section 3.4).
  HPE_PAUSED_H2_UPGRADE: 'http_version_not_supported',
  // parser-control.ts rejects the method.
  HPE_CB_HEADERS_COMPLETE: 'method_not_implemented',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/**
 * Returns a function that renders the response to a request that the parser rejected. The response closes the connection,
 * because the start of the next request is unknown (RFC 9112 section 6.3).
 * @param onRejected called with the HTTP status of each response.
 * @param rejectionOf builds the response.
 */
export function createMalformedResponse(
  logger: Logger,
  onRejected: (status: number) => void,
  rejectionOf: Rejection,
): (error: ParserError) => string {
  return error => {
    const { context: traceContext, spanContext } = acceptTrace(undefined, undefined, 0)
    const { traceId } = spanContext
    const httpError = toHttpError(error)
    const response = rejectionOf(httpError, { path: '', traceId, origin: originIn(error.rawPacket) })
    const { problem } = response
    onRejected(problem.status)
    context.with(traceContext, () =>
      logger.info({ status: problem.status, reason: error.code }, 'malformed HTTP request; closing the connection'),
    )
    return renderResponse(response)
  }
}

function toHttpError(error: ParserError): HttpError {
  const { code = '', reason } = error
  if (code === 'HPE_HEADER_OVERFLOW' && isInTarget(error)) return new HttpError('url_too_long')
  if (code === 'HPE_INVALID_METHOD' && hasOtherMethod(error)) return new HttpError('method_not_implemented')
  // A method of RTSP.
  if (reason?.startsWith('Invalid method') && code === 'HPE_INVALID_CONSTANT') {
    return new HttpError('method_not_implemented')
  }
  const known = BY_PARSER_CODE[code]
  if (known !== undefined) return new HttpError(known)
  return new HttpError('bad_request', reason === undefined ? {} : { detail: `Malformed HTTP request: ${reason}.` })
}
