import { Readable } from 'node:stream'
import { returnsRawBody, takesRawBody } from '../contract/http-body.ts'
import { policyTimeoutMs } from '../contract/policy-strictness.ts'
import type { Route } from '../contract/route-table.ts'
import { logFailure } from '../http/error-handler.ts'
import { type Problem, toProblem } from '../http/problem.ts'
import { splitTarget } from '../http/request-target.ts'
import { createUpstreamStream } from '../upstream/calls.ts'
import { deadlineIn } from '../upstream/deadline.ts'
import { asksForIntegerEnums } from './binding/alt-parameter.ts'
import {
  cancelOnDisconnect,
  type HandlerOptions,
  type RouteHandler,
  readClientDeadline,
  readRawRequestInput,
  readRequestInput,
} from './handler.ts'
import { abortResponse, createRawHeaders, startRawStream } from './raw-response.ts'
import { startStreamBody } from './stream-body.ts'
import { errorNameOf, streamFormatOf } from './stream-format.ts'

/**
 * Timeout of streams whose policy has none, in milliseconds. Bounds the resources of a stream whose client no longer reads but
 * has not closed the connection.
 */
export const DEFAULT_STREAM_TIMEOUT_MS = 3_600_000

/**
 * Handles a server-streaming method: encodes the request, opens the stream and sends its messages as they arrive. An
 * error before the first message is an ordinary error response; a later one is the last item of the body. A raw body has
 * no place for an error: the response is aborted.
 */
export function createStreamHandler(route: Route, options: HandlerOptions): RouteHandler {
  const { policy, template, upstream } = route
  const { openStreams, streamLimit } = options
  const codec = options.codecFor(route)
  const openStream = createUpstreamStream(
    options.connectionOf(upstream),
    route,
    options.rpcMetrics,
    options.forwardingOf(upstream),
  )
  const timeoutMs = policyTimeoutMs(policy) ?? DEFAULT_STREAM_TIMEOUT_MS
  const successStatus = policy.successStatus || 200
  const errorName = errorNameOf(route)
  const readInput = takesRawBody(route) ? readRawRequestInput : readRequestInput
  const setRawHeaders = returnsRawBody(route) ? createRawHeaders(route) : undefined

  return async (request, reply) => {
    const input = readInput(template, request)
    const message = codec.encode(input)
    const enumsAsIntegers = asksForIntegerEnums(input.query)
    const format = streamFormatOf(request.headers.accept)
    const { path } = splitTarget(request.raw)
    const { traceId } = request.trace.spanContext
    reply.status(successStatus).header('cache-control', 'no-store')
    // That of a raw body is in its first message.
    if (setRawHeaders === undefined) reply.header('content-type', format.contentType)
    // HEAD needs no stream. If the client has already disconnected, no further `close` event would end one.
    if (request.method === 'HEAD' || reply.raw.destroyed) return reply.send()

    const ownDeadline = deadlineIn(timeoutMs)
    const deadline = readClientDeadline(request, reply, ownDeadline, options.onClientDeadline) ?? ownDeadline
    const releaseStream = streamLimit.admit(request)
    const cancellation = cancelOnDisconnect(reply)
    const removeStream = openStreams.add(cancellation)
    const messages = openStream(request, message, deadline, cancellation)
    reply.raw.once('close', () => {
      removeStream()
      releaseStream()
      // The body returns the generator too, but only if it has been read from.
      messages.return().catch(() => {})
    })
    const reportError = (error: unknown): Problem => {
      const reason = openStreams.endReason ?? error
      const { problem, isInternal } = toProblem(reason, { path, traceId })
      logFailure(request, reason, problem, isInternal)
      return problem
    }
    const starting =
      setRawHeaders === undefined
        ? startStreamBody({
            messages,
            format,
            toJson: bytes => codec.decode(bytes, enumsAsIntegers).body as string,
            toErrorItem: error => format.error(reportError(error), errorName),
          })
        : startRawStream({
            messages,
            decode: codec.decode,
            onStart: contentType => setRawHeaders(request, reply, contentType),
            onError(error) {
              reportError(error)
              abortResponse(reply)
            },
          })
    const body = await (starting as Promise<AsyncIterable<string | Uint8Array>>).catch(error => {
      throw openStreams.endReason ?? error
    })
    return reply.send(Readable.from(body))
  }
}
