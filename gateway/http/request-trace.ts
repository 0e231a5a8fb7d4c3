/** The trace of an HTTP request: reads W3C Trace Context, returns the ids to the client and records the server span. */
import { type Attributes, SpanKind } from '@opentelemetry/api'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { acceptTrace, type RequestTrace } from '#runtime/observability/request-trace.ts'
import { recordSpan, type SpanEvent } from '#runtime/observability/spans.ts'
import { isSampled } from '#runtime/observability/trace-context.ts'
import { Code } from '#runtime/status.ts'
import { KNOWN_METHODS, OTHER_METHOD } from './http-methods.ts'

declare module 'fastify' {
  interface FastifyRequest {
    trace: RequestTrace
  }

  interface FastifyContextConfig {
    /** Path template of a route of the contract, such as `/v1/users/{id}`. */
    template?: string
    /** If routes of the contract share a path of the router: all their templates, and that of a request. */
    templates?: { readonly all: readonly string[]; of(request: FastifyRequest): string }
  }
}

// The request id is copied to a header and to log lines, so its characters and its length are limited.
const REQUEST_ID = /^[\w.:-]{1,128}$/

/**
 * Starts the trace of a request and sets the response headers `x-request-id` and `traceresponse`. The request id is the
 * `x-request-id` of the client if that is valid, else the trace id.
 */
export function startRequestTrace(request: FastifyRequest, reply: FastifyReply, sampleRatio: number): void {
  const { traceparent, tracestate, 'x-request-id': requestId } = request.headers
  request.trace = acceptTrace(singleHeader(traceparent), joinedHeader(tracestate), sampleRatio)
  const isValidId = typeof requestId === 'string' && REQUEST_ID.test(requestId)
  request.id = isValidId ? requestId : request.trace.spanContext.traceId
  reply.header('x-request-id', request.id)
  // W3C Trace Context Level 2, "traceresponse": the span that this process created for the request.
  reply.header('traceresponse', request.trace.traceparent)
}

/**
 * Records the server span if the request is sampled, or if it failed with 5xx and `sampleError` returns true. Returns
 * whether it did. @param route path template, or undefined if no route matched.
 */
export function endRequestTrace(
  request: FastifyRequest,
  route: string | undefined,
  status: number,
  sampleError: () => boolean,
): boolean {
  const isRecorded = isSampled(request.trace.spanContext) || (status >= 500 && sampleError())
  if (isRecorded) recordServerSpan(request, route, status)
  return isRecorded
}

function recordServerSpan(request: FastifyRequest, route: string | undefined, status: number): void {
  const { spanContext, parent, startedAt } = request.trace
  const attributes = serverAttributes(request, status, route)
  const method = attributes['http.request.method'] === OTHER_METHOD ? 'HTTP' : request.method
  recordSpan({
    name: route === undefined ? method : `${method} ${route}`,
    kind: SpanKind.SERVER,
    spanContext,
    parent,
    startedAt,
    attributes,
    errorType: status >= 500 ? String(status) : undefined,
    events: status >= 500 ? upstreamFailure(request) : [],
  })
}

/** The code of a failed upstream call. The client span of that call has the details, but only if it is sampled. */
function upstreamFailure({ rpcCode }: FastifyRequest): SpanEvent[] {
  if (rpcCode === undefined || rpcCode === Code.OK) return []
  return [{ name: 'upstream failed', at: performance.now(), attributes: { 'rpc.status_code': Code[rpcCode] } }]
}

/** Source: OpenTelemetry semantic conventions, "HTTP server span". Query values are redacted, because they may be secret. */
function serverAttributes(request: FastifyRequest, status: number, route: string | undefined): Attributes {
  const { method, headers, raw, socket } = request
  const target = raw.url ?? '/'
  const queryAt = target.indexOf('?')
  const isKnown = KNOWN_METHODS.has(method)
  return {
    'http.request.method': isKnown ? method : OTHER_METHOD,
    'http.request.method_original': isKnown ? undefined : method,
    'http.route': route,
    'http.response.status_code': status,
    'url.scheme': request.protocol,
    'url.path': queryAt === -1 ? target : target.slice(0, queryAt),
    'url.query': queryAt === -1 ? undefined : target.slice(queryAt + 1).replace(/=[^&]*/g, '=REDACTED') || undefined,
    'server.address': request.hostname || undefined,
    'server.port': request.port ?? undefined,
    'client.address': request.clientAddress,
    'network.peer.address': socket.remoteAddress,
    'network.peer.port': socket.remotePort,
    'network.protocol.version': raw.httpVersion,
    'user_agent.original': headers['user-agent'],
  }
}

/** A header that must occur once. Repeated headers are ignored, because it is unknown which one is valid. */
function singleHeader(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined
}

function joinedHeader(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header
}
