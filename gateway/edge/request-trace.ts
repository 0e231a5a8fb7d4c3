/** The trace of a request: W3C Trace Context in, the ids in each log line and in the answer. */
import { context, SpanStatusCode } from '@opentelemetry/api'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type RequestTrace, startRequestTrace, traceHeaders } from '#runtime/telemetry.ts'

declare module 'fastify' {
  interface FastifyRequest {
    trace: RequestTrace
  }
}

// Printable and short: it goes into a header and into log lines.
const REQUEST_ID = /^[\w.:-]{1,128}$/

/** Begins the request's trace and says so in the answer. */
export function beginRequestTrace(request: FastifyRequest, reply: FastifyReply, sampleRatio: number): void {
  const { traceparent, tracestate } = request.headers
  request.trace = startRequestTrace(
    `${request.method} ${request.routeOptions?.url ?? ''}`,
    { traceparent: single(traceparent), tracestate: joined(tracestate) },
    { trusted: false, ratio: sampleRatio },
  )
  const { traceId } = request.trace.spanContext
  const given = single(request.headers['x-request-id'])
  request.id = given !== undefined && REQUEST_ID.test(given) ? given : traceId
  reply.header('x-request-id', request.id)
  // W3C Trace Context Level 2, "traceresponse": the trace that this request became part of.
  reply.header('traceresponse', traceHeaders(request.trace.spanContext).traceparent)
}

/** Must be registered before any other hook, so that everything happens within the trace. */
export function registerRequestTrace(app: FastifyInstance, { sampleRatio }: { sampleRatio: number }): void {
  app.decorateRequest('trace')

  app.addHook('onRequest', (request, reply, done) => {
    beginRequestTrace(request, reply, sampleRatio)
    context.with(request.trace.context, done)
  })

  app.addHook('onResponse', (request, reply, done) => {
    logRequest(request, reply)
    const { span } = request.trace
    span?.setAttributes({
      'http.request.method': request.method,
      'http.route': routeOf(request),
      'http.response.status_code': reply.statusCode,
    })
    if (reply.statusCode >= 500) span?.setStatus({ code: SpanStatusCode.ERROR })
    span?.end()
    done()
  })
}

/** The line of a request in the access log. */
export function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  context.with(request.trace.context, () => {
    request.log.info(
      {
        request_id: request.id,
        method: request.method,
        route: routeOf(request),
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime * 100) / 100,
        ...(request.principal && { user_id: request.principal.userId }),
      },
      'request',
    )
  })
}

function routeOf(request: FastifyRequest): string {
  return request.routeOptions?.url ?? 'unmatched'
}

/** A header that must stand once: given twice it says nothing reliable. */
function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined
}

function joined(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header
}
