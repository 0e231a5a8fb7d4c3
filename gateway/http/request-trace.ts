/** The trace of a request: W3C Trace Context in, the ids in the answer, a server span if sampled. */
import { type Attributes, SpanKind } from '@opentelemetry/api'
import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  acceptTrace,
  isSampled,
  type RequestTrace,
  recordSpan,
  type SpanEvent,
} from '#runtime/observability/telemetry.ts'
import { Code } from '#runtime/status.ts'
import { clientAddress } from './client-address.ts'

declare module 'fastify' {
  interface FastifyRequest {
    trace: RequestTrace
  }

  interface FastifyContextConfig {
    /** The route as the contract writes it, where it comes from the contract. */
    template?: string
  }
}

// Printable and short: it goes into a header and into log lines.
const REQUEST_ID = /^[\w.:-]{1,128}$/

/** Begins the request's trace and says so in the answer. */
export function beginRequestTrace(request: FastifyRequest, reply: FastifyReply, sampleRatio: number): void {
  const { traceparent, tracestate, 'x-request-id': given } = request.headers
  request.trace = acceptTrace(single(traceparent), joined(tracestate), sampleRatio)
  request.id = typeof given === 'string' && REQUEST_ID.test(given) ? given : request.trace.spanContext.traceId
  reply.header('x-request-id', request.id)
  // W3C Trace Context Level 2, "traceresponse": the trace that this request became part of.
  reply.header('traceresponse', request.trace.traceparent)
}

/**
 * Records the request's span, if it is sampled or failed and is chosen for that.
 * @returns whether it was recorded.
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
  const method = attributes['http.request.method'] === '_OTHER' ? 'HTTP' : request.method
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

/** The call's own span tells more, where there is one. */
function upstreamFailure({ rpcCode }: FastifyRequest): SpanEvent[] {
  if (rpcCode === undefined || rpcCode === Code.OK) return []
  return [{ name: 'upstream failed', at: performance.now(), attributes: { 'rpc.status_code': Code[rpcCode] } }]
}

// RFC 9110 section 9 and RFC 5789; others could be any in number.
export const KNOWN_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
])

/** Semantic conventions for HTTP spans, "HTTP server". Values of the query are left out: they may be anybody's secret. */
function serverAttributes(request: FastifyRequest, status: number, route: string | undefined): Attributes {
  const { method, headers, raw, socket } = request
  const target = raw.url ?? '/'
  const mark = target.indexOf('?')
  const known = KNOWN_METHODS.has(method)
  return {
    'http.request.method': known ? method : '_OTHER',
    'http.request.method_original': known ? undefined : method,
    'http.route': route,
    'http.response.status_code': status,
    'url.scheme': request.protocol,
    'url.path': mark === -1 ? target : target.slice(0, mark),
    'url.query': mark === -1 ? undefined : target.slice(mark + 1).replace(/=[^&]*/g, '=REDACTED') || undefined,
    'server.address': request.hostname || undefined,
    'server.port': request.port ?? undefined,
    'client.address': clientAddress(request),
    'network.peer.address': socket.remoteAddress,
    'network.peer.port': socket.remotePort,
    'network.protocol.version': raw.httpVersion,
    'user_agent.original': headers['user-agent'],
  }
}

/** A header that must stand once: given twice it says nothing reliable. */
function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined
}

function joined(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header
}
