import { isIfMatch } from '#runtime/grpc/contract.ts'
import { invalidArgument } from '#runtime/status.ts'
import { returnsRawBody, takesRawBody } from '../contract/http-body.ts'
import { policyTimeoutMs } from '../contract/policy-strictness.ts'
import type { Route } from '../contract/route-table.ts'
import { writeCookie } from '../http/cookies.ts'
import { createUpstreamCall } from '../upstream/calls.ts'
import { deadlineIn } from '../upstream/deadline.ts'
import { asksForIntegerEnums } from './binding/alt-parameter.ts'
import { hasTag, quoteTag } from './binding/entity-tag.ts'
import {
  cancelOnDisconnect,
  type HandlerOptions,
  type RouteHandler,
  readClientDeadline,
  readRawRequestInput,
  readRequestInput,
} from './handler.ts'
import { createRawHeaders } from './raw-response.ts'

// Ignoring If-Match would execute a request whose condition may be false.
const IF_MATCH_NOT_SUPPORTED = invalidArgument([{ field: 'If-Match', description: 'is not supported by this method' }])

/** Handles a unary method: encodes the request, calls the upstream, decodes the response. Supports conditional GET. */
export function createUnaryHandler(route: Route, options: HandlerOptions): RouteHandler {
  const { policy, template, descriptor, upstream } = route
  const codec = options.codecFor(route)
  const call = createUpstreamCall(
    options.connectionOf(upstream),
    route,
    options.rpcMetrics,
    options.forwardingOf(upstream),
  )
  const timeoutMs = policyTimeoutMs(policy) ?? options.defaultTimeoutOf(upstream)
  const successStatus = policy.successStatus || 200
  const isGet = route.httpMethod === 'GET'
  const readInput = takesRawBody(route) ? readRawRequestInput : readRequestInput
  const setRawHeaders = returnsRawBody(route) ? createRawHeaders(route) : undefined
  const supportsIfMatch = descriptor.input.fields.some(isIfMatch)

  return async (request, reply) => {
    if (!supportsIfMatch && !isGet && request.headers['if-match'] !== undefined) throw IF_MATCH_NOT_SUPPORTED
    const input = readInput(template, request)
    const message = codec.encode(input)
    const ownDeadline = deadlineIn(timeoutMs)
    const clientDeadline = readClientDeadline(request, reply, ownDeadline, options.onClientDeadline)
    const deadline = clientDeadline ?? ownDeadline
    const response = await call(request, message, deadline, cancelOnDisconnect(reply), clientDeadline !== undefined)
    const { body, contentType, cookies, revocations, etag } = codec.decode(response, asksForIntegerEnums(input.query))
    for (const revocation of revocations) options.revoke(revocation)
    for (const change of cookies) writeCookie(reply, change)
    // Responses contain personal data, and some contain tokens (RFC 6749 section 5.1).
    reply.status(successStatus).header('cache-control', 'no-store')
    if (successStatus === 204) return reply.send()
    const quotedTag = etag === undefined ? undefined : quoteTag(etag)
    if (quotedTag !== undefined) {
      reply.header('etag', quotedTag)
      const ifNoneMatch = isGet ? request.headers['if-none-match'] : undefined
      if (ifNoneMatch !== undefined && hasTag(ifNoneMatch, etag as string)) return reply.status(304).send()
    }
    if (setRawHeaders === undefined) reply.header('content-type', 'application/json; charset=utf-8')
    else setRawHeaders(request, reply, contentType)
    return reply.send(body)
  }
}
