/**
 * Builds the whole response to a request for which Fastify runs no hook: one that Node's parser or the router rejects. It
 * has the security headers, the CORS headers and the problem document of every other error response.
 */
import { corsHeaders } from '../cors.ts'
import { type FailedRequest, PROBLEM_HEADERS, type Problem, toProblem } from '../problem.ts'

/** The facts of a rejected request. */
export interface RejectedRequest extends FailedRequest {
  /** The header Origin; undefined if it is absent or unknown. */
  readonly origin: string | undefined
}

export interface RejectionResponse {
  readonly problem: Problem
  /** All headers except those of the connection, such as Content-Length. */
  readonly headers: Readonly<Record<string, string>>
}

export type Rejection = (error: unknown, request: RejectedRequest) => RejectionResponse

/** @param securityHeaders the headers of all responses. @param corsOrigins the origins that may read responses. */
export function createRejection(
  securityHeaders: Readonly<Record<string, string>>,
  corsOrigins: readonly string[],
): Rejection {
  return (error, request) => {
    const { problem, headers } = toProblem(error, request)
    return {
      problem,
      headers: {
        ...securityHeaders,
        ...corsHeaders(request.origin, corsOrigins),
        'x-request-id': request.traceId,
        ...headers,
        ...PROBLEM_HEADERS,
      },
    }
  }
}

/** Renders an HTTP/1.1 response that closes the connection. */
export function renderResponse({ problem, headers }: RejectionResponse): string {
  const body = JSON.stringify(problem)
  const fields = Object.entries({
    date: new Date().toUTCString(),
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  })
  const head = [`HTTP/1.1 ${problem.status} ${problem.title}`, ...fields.map(([name, value]) => `${name}: ${value}`)]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

/** Matches the first field of the name at the start of a line, in the bytes that a client sent. */
const ORIGIN = /\r\norigin:[ \t]*([\x21-\x7e]{1,300})[ \t]*\r\n/i

/** Finds the header Origin in the bytes of a request that the parser rejected. */
export function originIn(packet: unknown): string | undefined {
  return packet instanceof Buffer ? ORIGIN.exec(packet.toString('latin1'))?.[1] : undefined
}
