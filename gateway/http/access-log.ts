/** One line a request. It is put together from text, since it is the only line that each request leaves. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { jsonText, type Logger, requestLine } from '#runtime/observability/logger.ts'
import { Code } from '#runtime/status.ts'

/**
 * Logs a request that has ended.
 * @param route as JSON text.
 * @param status that the client got, or would have got.
 * @param isWhole false when the client went away before it had the whole answer.
 */
export type AccessLog = (
  request: FastifyRequest,
  reply: FastifyReply,
  route: string,
  status: number,
  isWhole: boolean,
) => void

export function createAccessLog(logger: Logger): AccessLog {
  const log = requestLine(logger, 'request')
  return (request, reply, route, status, isWhole) => {
    const { traceId, spanId } = request.trace.spanContext
    const { principal, rpcCode } = request
    // A method is one of those that Node's parser knows. What comes from outside goes through `jsonText`.
    let members = `,"trace_id":"${traceId}","span_id":"${spanId}","request_id":${jsonText(request.id)}`
    members += `,"method":"${request.method}","route":${route},"status":${status}`
    members += `,"ms":${Math.round(reply.elapsedTime * 100) / 100}`
    const length = reply.getHeader('content-length')
    if (length !== undefined) members += `,"bytes":${Number(length)}`
    if (rpcCode !== undefined && rpcCode !== Code.OK) members += `,"rpc_code":"${Code[rpcCode]}"`
    if (principal !== undefined) members += `,"user_id":${jsonText(principal.userId)}`
    log(isWhole ? members : `${members},"aborted":true`)
  }
}
