import type { Socket } from 'node:net'
import { HttpProblem, type HttpProblemCode, toProblem } from './transcoding/problem.ts'

const CODES: Record<string, HttpProblemCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/**
 * Answers what Node's HTTP parser refuses: no request was made of it, so no hook or route sees it. The connection is
 * closed, since nobody can tell where the next request would begin (RFC 9112 section 6.3).
 */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { problem } = toProblem(new HttpProblem(CODES[error.code ?? ''] ?? 'bad_request'), { path: '', traceId: '' })
  const body = JSON.stringify(problem)
  socket.end(
    [
      `HTTP/1.1 ${problem.status} ${problem.title}`,
      'Content-Type: application/problem+json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  )
}
