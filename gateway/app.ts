/**
 * Builds the Fastify instance of the gateway from its arguments, without side effects.
 *
 * Hooks run in the order of their registration, and that order matters for security. Plugins are therefore registered
 * explicitly, one after another.
 */
import fastifyCookie from '@fastify/cookie'
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
import { type RequestPolicies, registerRequestPolicies } from './edge/request-policy.ts'
import { type ClientAddressOptions, registerClientAddress } from './http/client-address.ts'
import { corsHeaders, registerCors } from './http/cors.ts'
import { handleError } from './http/error-handler.ts'
import { type Health, registerHealth } from './http/health.ts'
import { HttpError } from './http/http-errors.ts'
import { type HttpServer, idleServer } from './http/listener/http-server.ts'
import { findMessageError, registerMessageChecks } from './http/listener/message-checks.ts'
import { registerJsonBody } from './http/request-body.ts'
import { registerUrlLimit, splitTarget } from './http/request-target.ts'
import type { AppTelemetry, RequestTelemetry } from './http/request-telemetry.ts'
import { routerConstraints } from './http/route-groups.ts'
import { allowedMethods } from './http/routing.ts'
import { registerSecurityHeaders } from './http/security-headers.ts'
import { registerServerTiming } from './http/server-timing.ts'
import { trustedAddresses } from './http/trusted-addresses.ts'
import type { GatewayMetrics } from './metrics.ts'
import { type RoutesOptions, registerRoutes } from './transcoding/routes.ts'

/** A contract is read within this time in seconds after its upstream is available. */
const CONTRACT_RETRY_AFTER_S = 2

/** The dependencies and the settings of the app. */
export interface AppOptions {
  readonly logger: Logger
  readonly metrics: Pick<GatewayMetrics, 'rpc'>
  /** The server of the process, which directs requests to the app. */
  readonly server: Pick<HttpServer, 'securityHeaders' | 'isClosing'>
  readonly telemetry: RequestTelemetry
  readonly routes: readonly Route[]
  readonly transcoding: Pick<
    RoutesOptions,
    | 'codecFor'
    | 'connectionOf'
    | 'forwardingOf'
    | 'openStreams'
    | 'streamLimit'
    | 'defaultTimeoutOf'
    | 'onClientDeadline'
  >
  /** Undefined: no route verifies tokens. */
  readonly authentication: AuthenticationOptions | undefined
  readonly limits: RateLimitOptions
  /** Origin of the API. Requests with cookies from pages of this origin are allowed. */
  readonly publicUrl: string
  /** Other origins whose pages may send requests with cookies. If empty, no CORS headers are sent. */
  readonly corsOrigins: readonly string[]
  /** Addresses and networks of proxies. If empty, headers about the client are ignored. */
  readonly trustedProxies: readonly string[]
  /** The only header from which the addresses of clients of these proxies are read. */
  readonly clientAddressHeader: ClientAddressOptions['header']
  /** Maximum size of a request body in bytes. A larger body is rejected with 413 `body_too_large`. */
  readonly bodyLimit: number
  /** Whether responses have Server-Timing. */
  readonly serverTiming: boolean
  readonly health: Pick<Health, 'isReady'>
  /** Whether the contract of an upstream has not been read yet, so that some routes are unknown. Default false. */
  readonly lacksContract?: boolean
  /** Registers the routes of the API documentation. */
  readonly registerDocs: (app: FastifyInstance) => void
}

/** An app, and its requests in progress. */
export interface App {
  readonly instance: FastifyInstance
  readonly telemetry: AppTelemetry
}

/** Builds an app that is ready. @throws ContractError if the policy of a route is invalid, such as an unknown class. */
export async function buildApp(options: AppOptions): Promise<App> {
  const { logger, routes, authentication, publicUrl, corsOrigins } = options
  const { securityHeaders, isClosing } = options.server
  const { trustedProxies, clientAddressHeader } = options
  const hasProxies = trustedProxies.length > 0
  let limitOther: RequestPolicies['limitOther'] = () => undefined

  const app: FastifyInstance = Fastify({
    loggerInstance: logger as FastifyBaseLogger,
    // A child logger per request would only add a request id, and log lines have the trace id already.
    childLoggerFactory: parent => parent,
    logController: new LogController({ disableRequestLogging: true }),
    // For X-Forwarded-Proto and X-Forwarded-Host, in spans. A proxy that sends Forwarded passes them on unchanged.
    trustProxy: hasProxies && clientAddressHeader === 'x-forwarded-for' ? [...trustedProxies] : false,
    bodyLimit: options.bodyLimit,
    // During the drain, requests are served until load balancers have noticed that the gateway is not ready.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // Only the length of the URL as a whole is limited.
    routerOptions: { maxParamLength: Number.MAX_SAFE_INTEGER, constraints: routerConstraints },
    serverFactory: idleServer,
    // Fastify runs no hooks for a request that its router rejects, so the telemetry is started here.
    frameworkErrors: (error, rawRequest, rawReply) => {
      const [request, reply] = [rawRequest as FastifyRequest, rawReply as FastifyReply]
      telemetry.start(request, reply)
      reply.headers(securityHeaders).headers(corsHeaders(request.headers.origin, corsOrigins))
      const reason = findMessageError(request.raw) ?? error
      const fail = (cause: unknown) => handleError(cause, request, reply)
      const limited = limitOther(request, reply)
      if (limited === undefined) fail(reason)
      else limited.then(() => fail(reason), fail)
    },
  })

  registerClientAddress(app, {
    header: clientAddressHeader,
    isTrusted: hasProxies ? trustedAddresses(trustedProxies) : undefined,
  })
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isClosing()) reply.header('connection', 'close')
    done(null, payload)
  })
  const telemetry = options.telemetry.register(app)
  if (options.serverTiming) registerServerTiming(app)
  app.setErrorHandler<FastifyError>(handleError)
  app.setNotFoundHandler(request => {
    throw unmatchedError(request)
  })

  registerSecurityHeaders(app, securityHeaders)
  const policies = await registerRequestPolicies(app, {
    routes,
    authentication,
    limits: options.limits,
    trustedOrigins: new Set([publicUrl, ...corsOrigins]),
  })
  limitOther = (request, reply) => policies.limitOther(request, reply)
  app.addHook('onRequest', (request, reply, done) => {
    const { template, unlimited } = request.routeOptions.config ?? {}
    // A route of the contract has the limits of its policy.
    const limited = template === undefined && unlimited !== true ? limitOther(request, reply) : undefined
    if (limited === undefined) return done()
    limited.then(
      () => done(),
      error => {
        reply.headers(corsHeaders(request.headers.origin, corsOrigins))
        done(error)
      },
    )
  })
  if (corsOrigins.length > 0) await registerCors(app, corsOrigins)
  registerUrlLimit(app)
  registerMessageChecks(app)
  // Before the body is read: an unmatched request is 404 or 405 whatever its body is.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.is404) done(unmatchedError(request))
    else done()
  })
  // Without its hook: a handler parses cookies only if its method reads one (http/cookies.ts).
  await app.register(fastifyCookie, { hook: false })
  registerJsonBody(app)

  registerHealth(app, options.health)
  options.registerDocs(app)
  registerRoutes(app, {
    routes,
    ...options.transcoding,
    policyFor: policies.policyFor,
    rpcMetrics: options.metrics.rpc,
    revoke: revocation => authentication?.revocations.add(revocation),
  })
  await app.ready()
  return { instance: app, telemetry }

  function unmatchedError({ raw }: FastifyRequest): HttpError {
    const methods = allowedMethods(routes, splitTarget(raw).path)
    if (methods.length > 0) return new HttpError('method_not_allowed', { headers: { allow: methods.join(', ') } })
    if (!options.lacksContract) return new HttpError('route_not_found')
    return new HttpError('contract_unavailable', { headers: { 'retry-after': String(CONTRACT_RETRY_AFTER_S) } })
  }
}
