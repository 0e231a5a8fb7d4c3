import type { Socket } from 'node:net'
import { context } from '@opentelemetry/api'
import type { Logger } from '#runtime/observability/logger.ts'
import { acceptTrace } from '#runtime/observability/telemetry.ts'
import { HttpError, type HttpErrorCode } from './http-errors.ts'
import { toProblem } from './problem.ts'

const CODES: Record<string, HttpErrorCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/**
 * Answers what Node's HTTP parser refuses: no request was made of it, so no hook or route sees it. The connection is
 * closed, since nobody can tell where the next request would begin (RFC 9112 section 6.3).
 */
export function createBrokenRequestHandler(
  logger: Logger,
  onRefused: (status: number) => void,
): (error: NodeJS.ErrnoException, socket: Socket) => void {
  return (error, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const { context: traceContext, spanContext } = acceptTrace(undefined, undefined, 0)
    const { traceId } = spanContext
    const { problem } = toProblem(new HttpError(CODES[error.code ?? ''] ?? 'bad_request'), { path: '', traceId })
    onRefused(problem.status)
    context.with(traceContext, () => logger.info({ status: problem.status, reason: error.code }, 'broken request'))
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
    // Also when the client keeps its side open.
    socket.destroySoon()
  }
}
