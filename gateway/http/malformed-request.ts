/** Responds to requests that Node's HTTP parser rejects. Fastify runs no route and no hook for them. */
import type { Socket } from 'node:net'
import { context } from '@opentelemetry/api'
import type { Logger } from '#runtime/observability/logger.ts'
import { acceptTrace } from '#runtime/observability/request-trace.ts'
import { HttpError, type HttpErrorCode } from './http-errors.ts'
import { toProblem } from './problem.ts'

interface ParserError extends NodeJS.ErrnoException {
  /** Set by the parser of node:http, for example to `Invalid header token`. */
  readonly reason?: string
  /** The bytes that the parser received last, and how many of them it has parsed. */
  readonly rawPacket?: unknown
  readonly bytesParsed?: number
}

/** Codes of Node's parser and server. Any other code is reported as `bad_request`. */
const BY_PARSER_CODE: Record<string, HttpErrorCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/**
 * Returns a listener for the `clientError` event of node:http. It sends a problem document, unless the client has closed
 * the connection, and closes it, because the start of the next request is unknown (RFC 9112 section 6.3).
 * @param onRejected called with the HTTP status of each response.
 */
export function createMalformedRequestHandler(
  logger: Logger,
  onRejected: (status: number) => void,
): (error: ParserError, socket: Socket) => void {
  return (error, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const { context: traceContext, spanContext } = acceptTrace(undefined, undefined, 0)
    const { traceId } = spanContext
    const httpError = toHttpError(error)
    const { problem } = toProblem(httpError, { path: '', traceId })
    onRejected(problem.status)
    context.with(traceContext, () =>
      logger.info({ status: problem.status, reason: error.code }, 'malformed HTTP request; closing the connection'),
    )
    const body = JSON.stringify(problem)
    socket.write(
      [
        `HTTP/1.1 ${problem.status} ${problem.title}`,
        'Content-Type: application/problem+json; charset=utf-8',
        `Content-Length: ${Buffer.byteLength(body)}`,
        `X-Request-Id: ${traceId}`,
        'Connection: close',
        '',
        body,
      ].join('\r\n'),
    )
    // Also closes the connection if the client does not close its side.
    socket.destroySoon()
  }
}

function toHttpError(error: ParserError): HttpError {
  const { code = '', reason } = error
  if (code === 'HPE_HEADER_OVERFLOW' && isInRequestLine(error)) return new HttpError('url_too_long')
  const known = BY_PARSER_CODE[code]
  if (known !== undefined) return new HttpError(known)
  return new HttpError('bad_request', reason === undefined ? {} : { detail: `Malformed HTTP request: ${reason}.` })
}

/** Whether the parser stopped at an unfinished request line of which it received the start. */
function isInRequestLine({ rawPacket, bytesParsed = 0 }: ParserError): boolean {
  if (!Buffer.isBuffer(rawPacket)) return false
  const line = rawPacket.subarray(rawPacket.lastIndexOf('\n', bytesParsed - 1) + 1, bytesParsed)
  return /^[A-Za-z-]+ \S+$/.test(line.toString('latin1'))
}
