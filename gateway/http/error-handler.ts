import type { FastifyReply, FastifyRequest } from 'fastify'
import { toProblem } from './problem.ts'
import { splitTarget } from './request-target.ts'

/** Sends a problem document and logs internal errors and failures of dependencies. For `app.setErrorHandler`. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { path } = splitTarget(request.raw)
  const { traceId } = request.trace.spanContext
  const isConditional = request.headers['if-match'] !== undefined
  const { problem, headers, isInternal } = toProblem(error, { path, traceId, isConditional })
  const cause = error instanceof Error ? error.cause : undefined
  if (isInternal) request.log.error({ err: error }, 'request failed with an internal error')
  else if (cause !== undefined && problem.status >= 500) {
    request.log.warn({ err: cause, code: problem.code }, 'request failed because of a dependency')
  }
  void reply
    .status(problem.status)
    .headers(headers)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .send(JSON.stringify(problem))
}
