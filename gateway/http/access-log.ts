/** The access log: one line of level info per request, concatenated for speed (see `requestLine` for the cost). */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { jsonText, type Logger, requestLine } from '#runtime/observability/logger.ts'
import { Code } from '#runtime/status.ts'
import { splitTarget } from './request-target.ts'

/**
 * Logs a request that has ended. @param routeJson route label as a JSON string, with its quotation marks.
 * @param status HTTP status of the response; 499 if the client disconnected before the response headers were sent.
 * @param isComplete whether the whole response was sent. If not, the line has `"aborted":true`.
 */
export type AccessLog = (
  request: FastifyRequest,
  reply: FastifyReply,
  routeJson: string,
  status: number,
  isComplete: boolean,
) => void

/** The route of requests that match none. Their lines have the path. */
export const UNMATCHED = 'unmatched'
const UNMATCHED_JSON = JSON.stringify(UNMATCHED)
/** Maximum length of a logged path, in characters. */
const MAX_PATH_LENGTH = 256

export function createAccessLog(logger: Logger): AccessLog {
  const log = requestLine(logger, 'request')
  return (request, reply, routeJson, status, isComplete) => {
    const { traceId, spanId } = request.trace.spanContext
    const { principal, rpcCode } = request
    // The method needs no escaping: Node's parser accepts a fixed list. Values chosen by clients go through `jsonText`.
    let members = `,"trace_id":"${traceId}","span_id":"${spanId}","request_id":${jsonText(request.id)}`
    members += `,"method":"${request.method}","route":${routeJson},"status":${status}`
    if (routeJson === UNMATCHED_JSON) members += `,"path":${jsonText(pathOf(request))}`
    members += `,"ms":${Math.round(reply.elapsedTime * 100) / 100}`
    const length = reply.getHeader('content-length')
    if (length !== undefined) members += `,"bytes":${Number(length)}`
    if (rpcCode !== undefined && rpcCode !== Code.OK) members += `,"rpc_code":"${Code[rpcCode]}"`
    if (principal !== undefined) members += `,"user_id":${jsonText(principal.userId)}`
    log(isComplete ? members : `${members},"aborted":true`)
  }
}

/** The path without the query, which may be secret, and shortened to 256 characters. */
function pathOf({ raw }: FastifyRequest): string {
  const { path } = splitTarget(raw)
  return path.length > MAX_PATH_LENGTH ? `${path.slice(0, MAX_PATH_LENGTH)}…` : path
}
