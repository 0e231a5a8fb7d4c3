import type { FastifyReply, FastifyRequest } from 'fastify'
import { StatusError } from '#runtime/status.ts'
import { PROBLEM_HEADERS, type Problem, toProblem } from './problem.ts'
import { prependQuota } from './rate-limit-fields.ts'
import { splitTarget } from './request-target.ts'

/** Sends a problem document and logs internal errors and failures of dependencies. For `app.setErrorHandler`. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { path } = splitTarget(request.raw)
  const { traceId } = request.trace.spanContext
  const isConditional = request.headers['if-match'] !== undefined
  const { problem, headers, isInternal } = toProblem(error, { path, traceId, isConditional })
  logFailure(request, error, problem, isInternal)
  if (error instanceof StatusError && error.quota !== undefined) prependQuota(reply, error.quota)
  void reply.status(problem.status).headers(headers).headers(PROBLEM_HEADERS).send(JSON.stringify(problem))
}

/** Logs an internal error, and the cause of any other 5xx: the problem document has neither. */
export function logFailure(request: FastifyRequest, error: unknown, problem: Problem, isInternal: boolean): void {
  const cause = error instanceof Error ? error.cause : undefined
  if (isInternal) request.log.error({ err: error }, 'request failed with an internal error')
  else if (cause !== undefined && problem.status >= 500) {
    request.log.warn({ err: cause, code: problem.code }, 'request failed because of a dependency')
  }
}
