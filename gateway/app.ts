/**
 * The gateway as a Fastify instance, built from arguments and without side effects. Plugins and hooks are registered one
 * by one, in the order in which a request meets them: that order is security.
 */
import fastifyCookie from '@fastify/cookie'
import fastifyCors from '@fastify/cors'
import { context } from '@opentelemetry/api'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import type { Logger } from '#runtime/observability/logger.ts'
import type { Route } from './contract/route-table.ts'
import type { AuthenticationOptions } from './edge/authentication.ts'
import type { RateLimitOptions } from './edge/limits/rate-limits.ts'
import { registerRequestPolicies } from './edge/request-policy.ts'
import { createAccessLog } from './http/access-log.ts'
import { registerDrain } from './http/drain.ts'
import { createErrorSampler } from './http/error-sampling.ts'
import { type HealthCheck, registerHealth } from './http/health.ts'
import { HttpError } from './http/http-errors.ts'
import { createMalformedRequestHandler } from './http/malformed-request.ts'
import { toProblem } from './http/problem.ts'
import { splitTarget } from './http/request-target.ts'
import { createRequestTelemetry } from './http/request-telemetry.ts'
import { allowedMethods, verbStrategy } from './http/routing.ts'
import { registerSecurityHeaders } from './http/security-headers.ts'
import type { GatewayMetrics } from './metrics.ts'
import { type RoutesOptions, registerRoutes } from './transcoding/routes.ts'

/** Milliseconds in which a request must have arrived whole. */
const REQUEST_TIMEOUT_MS = 30_000

export interface AppOptions {
  readonly logger: Logger
  readonly metrics: GatewayMetrics
  readonly routes: readonly Route[]
  readonly transcoding: Pick<
    RoutesOptions,
    'codecFor' | 'transportOf' | 'streamsOf' | 'openStreams' | 'defaultTimeoutOf'
  >
  readonly authentication: AuthenticationOptions
  readonly limits: RateLimitOptions
  readonly publicUrl: string
  readonly corsOrigins: readonly string[]
  readonly trustedProxies: readonly string[]
  readonly bodyLimit: number
  readonly sampleRatio: number
  readonly errorSampleRatio: number
  readonly healthChecks: readonly HealthCheck[]
  readonly isStopping: () => boolean
  /** False tells balancers to turn elsewhere. */
  readonly isReady: () => boolean
  /** Registers what is served besides the contract: the API document and its page. */
  readonly registerDocs: (app: FastifyInstance) => void
}

export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { logger, metrics, routes, authentication, publicUrl, corsOrigins } = options
  const telemetry = createRequestTelemetry({
    sampleRatio: options.sampleRatio,
    sampleError: createErrorSampler(options.errorSampleRatio),
    accessLog: createAccessLog(logger),
    metrics: metrics.http,
  })
  metrics.watch.requestsInFlight(telemetry.inFlight)
  const app: FastifyInstance = Fastify({
    loggerInstance: logger as FastifyBaseLogger,
    // A child logger for each request would only add an id that the trace already has.
    childLoggerFactory: parent => parent,
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: options.trustedProxies.length > 0 ? [...options.trustedProxies] : false,
    bodyLimit: options.bodyLimit,
    // A request that arrives while we drain is served: the balancer has not turned away yet.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: { maxParamLength: 1024, constraints: { verb: verbStrategy } },
    clientErrorHandler: createMalformedRequestHandler(logger, telemetry.countMalformed),
    // What the router refuses is seen by no hook: its records begin here.
    frameworkErrors: (error, refused, answer) => {
      const [request, reply] = [refused as FastifyRequest, answer as FastifyReply]
      telemetry.start(request, reply)
      answerError(error, request, reply)
    },
  })

  registerDrain(app, options.isStopping)
  telemetry.register(app)
  app.setErrorHandler<FastifyError>(answerError)
  app.setNotFoundHandler(request => {
    const { path } = splitTarget(request.raw)
    const allowed = allowedMethods(routes, path)
    throw allowed.length === 0
      ? new HttpError('route_not_found')
      : new HttpError('method_not_allowed', { headers: { allow: allowed.join(', ') } })
  })

  const hasOrigins = corsOrigins.length > 0
  await registerSecurityHeaders(app, { crossOrigin: hasOrigins })
  if (hasOrigins) {
    await app.register(fastifyCors, {
      origin: [...corsOrigins],
      credentials: true,
      // An OPTIONS that is no preflight is answered as one, rather than refused in plain text.
      strictPreflight: false,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      exposedHeaders: [
        'etag',
        'x-request-id',
        'traceresponse',
        'retry-after',
        'www-authenticate',
        'ratelimit',
        'ratelimit-policy',
      ],
      maxAge: 600,
    })
  }
  // Without a hook: a handler parses cookies where a method reads one (http/cookies.ts).
  await app.register(fastifyCookie, { hook: false })
  const policyFor = await registerRequestPolicies(app, {
    routes,
    authentication,
    limits: options.limits,
    trustedOrigins: new Set([publicUrl, ...corsOrigins]),
  })

  // The body stays bytes: the method's codec reads it, and reads it strictly.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const encoding = request.headers['content-encoding'] ?? 'identity'
    // A body is read outside of the context in which its request began.
    if (encoding.toLowerCase() === 'identity') context.with(request.trace.context, done, undefined, null, body)
    else done(new HttpError('unsupported_media_type'))
  })

  registerHealth(app, options.healthChecks, options.isReady)
  options.registerDocs(app)
  registerRoutes(app, {
    routes,
    ...options.transcoding,
    policyFor,
    rpcMetrics: metrics.rpc,
    revoke: revocation => authentication.revocations.add(revocation),
  })
  return app

  function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const { path } = splitTarget(request.raw)
    const { traceId } = request.trace.spanContext
    const { problem, headers, isInternal } = toProblem(error, {
      path,
      traceId,
      isConditional: request.headers['if-match'] !== undefined,
    })
    const cause = error instanceof Error ? error.cause : undefined
    if (isInternal) request.log.error({ err: error }, 'request failed')
    else if (cause !== undefined && problem.status >= 500) request.log.warn({ err: cause }, problem.code)
    void reply
      .status(problem.status)
      .headers(headers)
      .header('content-type', 'application/problem+json; charset=utf-8')
      .send(JSON.stringify(problem))
  }
}
