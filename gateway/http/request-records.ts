/**
 * What each request leaves behind: a line in the access log, its metrics and, if it is sampled, a span.
 *
 * It has ended when its answer is closed. Fastify's onResponse is not enough: it says nothing of a request whose client
 * went away before the answer.
 */
import type { ServerResponse } from 'node:http'
import { context } from '@opentelemetry/api'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { CallMetrics, CallRecorder } from '#runtime/observability/metrics.ts'
import type { Code } from '#runtime/status.ts'
import type { AccessLog } from './access-log.ts'
import { beginRequestTrace, endRequestTrace, KNOWN_METHODS } from './request-trace.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the upstream answered, where one was asked. */
    rpcCode: Code | undefined
  }

  interface FastifyContextConfig {
    record?: RouteRecord
  }
}

/** What is known of a route's requests before they come. */
interface RouteRecord {
  /** As the contract writes it, or as the router does; undefined for none. */
  readonly route: string | undefined
  readonly json: string
  /** By method: a route may have several. */
  readonly calls: ReadonlyMap<string, CallRecorder>
}

export interface RequestRecordsOptions {
  readonly sampleRatio: number
  /** Whether a failed request that is not sampled has a span after all. */
  readonly sampleError: () => boolean
  readonly accessLog: AccessLog
  /** By method and route. */
  readonly metrics: CallMetrics
}

export interface RequestRecords {
  /** To be called before any other hook is added, so that everything happens within the trace. */
  register(app: FastifyInstance): void
  /** Begins what the hooks do not see. */
  begin(request: FastifyRequest, reply: FastifyReply): void
  /** Counts what was refused before it was a request. */
  refused(status: number): void
  inFlight(): number
}

/** The method and the route of what has none that we know: what a client can choose freely would have no bound. */
const OTHER_METHOD = '_OTHER'
const UNMATCHED = 'unmatched'

// The answer's own field, rather than a closure for each request.
const REPLY = Symbol('reply')
type Answer = ServerResponse & { [REPLY]?: FastifyReply }

const CLIENT_CLOSED_REQUEST = 499

export function createRequestRecords(options: RequestRecordsOptions): RequestRecords {
  const { sampleRatio, sampleError, accessLog, metrics } = options
  let inFlight = 0

  function recordOf(route: string | undefined, methods: Iterable<string>): RouteRecord {
    const label = route ?? UNMATCHED
    const calls = new Map([...methods].map(method => [method, metrics.of(method, label)]))
    return { route, json: JSON.stringify(label), calls }
  }

  const unmatched = recordOf(undefined, [...KNOWN_METHODS, OTHER_METHOD])
  const other = unmatched.calls.get(OTHER_METHOD) as CallRecorder

  function begin(request: FastifyRequest, reply: FastifyReply): void {
    beginRequestTrace(request, reply, sampleRatio)
    inFlight++
    const answer: Answer = reply.raw
    answer[REPLY] = reply
    answer.on('close', end)
  }

  function end(this: Answer): void {
    inFlight--
    const reply = this[REPLY] as FastifyReply
    const { request } = reply
    // What the router refuses has options without a configuration.
    const record = request.routeOptions.config?.record ?? unmatched
    const status = this.headersSent ? reply.statusCode : CLIENT_CLOSED_REQUEST
    accessLog(request, reply, record.json, status, this.writableFinished)
    const isRecorded = endRequestTrace(request, record.route, status, sampleError)
    const calls = record.calls.get(request.method) ?? other
    calls.record(status, reply.elapsedTime / 1000, isRecorded ? request.trace.spanContext : undefined)
  }

  return {
    register(app) {
      app.decorateRequest('trace')
      app.decorateRequest('rpcCode')
      app.addHook('onRoute', route => {
        const methods = [route.method].flat()
        const record = recordOf(route.config?.template ?? route.url, methods)
        route.config = { ...route.config, record }
      })
      app.addHook('onRequest', (request, reply, done) => {
        begin(request, reply)
        context.with(request.trace.context, done)
      })
    },
    begin,
    refused: status => other.record(status, 0),
    inFlight: () => inFlight,
  }
}
