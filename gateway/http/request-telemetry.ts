/**
 * Records the telemetry of each HTTP request: an access log line, metrics and, if the request is sampled, a server span.
 *
 * A request ends when its response is closed. Fastify's onResponse hook is not used, because it does not run for a
 * client that disconnects before the response.
 */
import type { ServerResponse } from 'node:http'
import { context } from '@opentelemetry/api'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { CallMetrics, CallRecorder } from '#runtime/observability/call-metrics.ts'
import type { Code } from '#runtime/status.ts'
import { type AccessLog, UNMATCHED } from './access-log.ts'
import { KNOWN_METHODS, OTHER_METHOD } from './http-methods.ts'
import { endRequestTrace, startRequestTrace } from './request-trace.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** gRPC status code of the upstream call. Undefined if no call was made. */
    rpcCode: Code | undefined
    /** Duration of the upstream call in milliseconds, with its retries. Undefined until it ends. */
    upstreamMs: number | undefined
  }

  interface FastifyContextConfig {
    telemetry?: RouteTelemetry
    /** By path template, if routes of the contract share a path of the router. */
    telemetryByTemplate?: ReadonlyMap<string, RouteTelemetry>
  }
}

/** Created when the route is registered. */
interface RouteTelemetry {
  /** Path template of the contract, else the path of the Fastify route. Undefined for requests that match no route. */
  readonly route: string | undefined
  readonly routeJson: string
  readonly recorderByMethod: ReadonlyMap<string, CallRecorder>
}

export interface RequestTelemetryOptions {
  /** Fraction of requests whose spans are recorded, from 0 to 1. */
  readonly sampleRatio: number
  /** Whether to record the span of an unsampled request that failed with 5xx. */
  readonly sampleError: () => boolean
  readonly accessLog: AccessLog
  readonly metrics: CallMetrics
}

/** The telemetry of all apps of the process. */
export interface RequestTelemetry {
  /** Adds the hooks. Call it before any other hook is added, so that all hooks run in the context of the trace. */
  register(app: FastifyInstance): AppTelemetry
  /** Counts a request that the HTTP parser rejected with `status`. */
  countMalformed(status: number): void
  /** Number of requests in progress, of all apps. */
  inFlight(): number
}

/** The telemetry of one app. */
export interface AppTelemetry {
  /** Starts the telemetry of a request for which Fastify runs no hooks, because its router rejected it. */
  start(request: FastifyRequest, reply: FastifyReply): void
  /** Number of requests in progress. */
  inFlight(): number
  /** Resolves when no request is in progress. Call it when the app gets no further requests. */
  ended(): Promise<void>
}

/** The requests in progress of one app. */
interface Progress {
  count: number
  onEnd: (() => void) | undefined
}

const CLIENT_CLOSED_REQUEST = 499

// Properties of the response instead of a closure: saves an allocation per request.
const REPLY = Symbol('reply')
const PROGRESS = Symbol('progress')
type RecordedResponse = ServerResponse & { [REPLY]?: FastifyReply; [PROGRESS]?: Progress }

export function createRequestTelemetry(options: RequestTelemetryOptions): RequestTelemetry {
  const { sampleRatio, sampleError, accessLog, metrics } = options
  let inFlight = 0

  function telemetryOf(route: string | undefined, methods: Iterable<string>): RouteTelemetry {
    const label = route ?? UNMATCHED
    const recorderByMethod = new Map([...methods].map(method => [method, metrics.labels(method, label)]))
    return { route, routeJson: JSON.stringify(label), recorderByMethod }
  }

  const unmatched = telemetryOf(undefined, [...KNOWN_METHODS, OTHER_METHOD])
  const otherMethod = unmatched.recorderByMethod.get(OTHER_METHOD) as CallRecorder

  function start(request: FastifyRequest, reply: FastifyReply, progress: Progress): void {
    startRequestTrace(request, reply, sampleRatio)
    inFlight++
    progress.count++
    const response: RecordedResponse = reply.raw
    response[REPLY] = reply
    response[PROGRESS] = progress
    response.on('close', end)
  }

  function end(this: RecordedResponse): void {
    inFlight--
    const progress = this[PROGRESS] as Progress
    if (--progress.count === 0) progress.onEnd?.()
    const reply = this[REPLY] as FastifyReply
    const { request } = reply
    // Requests that the router rejects have route options without `config`.
    const { config } = request.routeOptions
    const shared = config?.templates && config.telemetryByTemplate?.get(config.templates.of(request))
    const { route, routeJson, recorderByMethod } = shared ?? config?.telemetry ?? unmatched
    const status = this.headersSent ? reply.statusCode : CLIENT_CLOSED_REQUEST
    accessLog(request, reply, routeJson, status, this.writableFinished)
    const isRecorded = endRequestTrace(request, route, status, sampleError)
    const recorder = recorderByMethod.get(request.method) ?? otherMethod
    recorder.record(status, reply.elapsedTime / 1000, isRecorded ? request.trace.spanContext : undefined)
  }

  return {
    register(app) {
      const progress: Progress = { count: 0, onEnd: undefined }
      app.decorateRequest('trace')
      app.decorateRequest('rpcCode')
      app.decorateRequest('upstreamMs')
      app.addHook('onRoute', route => {
        const methods = [route.method].flat()
        const { template = route.url, templates } = route.config ?? {}
        route.config = { ...route.config, telemetry: telemetryOf(template, methods) }
        if (templates === undefined) return
        route.config.telemetryByTemplate = new Map(templates.all.map(one => [one, telemetryOf(one, methods)]))
      })
      app.addHook('onRequest', (request, reply, done) => {
        start(request, reply, progress)
        context.with(request.trace.context, done)
      })
      return {
        start: (request, reply) => start(request, reply, progress),
        inFlight: () => progress.count,
        async ended() {
          if (progress.count === 0) return
          await new Promise<void>(resolve => {
            progress.onEnd = resolve
          })
        },
      }
    },
    countMalformed: status => otherMethod.record(status, 0),
    inFlight: () => inFlight,
  }
}
