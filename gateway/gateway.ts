/** Assembles the gateway from its settings: opens connections, builds the app and defines the order of the shutdown. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '#runtime/observability/logger.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import type { Stage } from '#runtime/process/lifecycle.ts'
import { buildApp } from './app.ts'
import { type AuthServiceConnection, connectAuthService } from './auth-service.ts'
import type { GatewaySettings } from './config.ts'
import { buildOpenApi } from './contract/openapi.ts'
import { buildRouteTable, type Route } from './contract/route-table.ts'
import { createLimitOrder } from './edge/limits/limit-order.ts'
import { createSharedBuckets, type SharedBuckets } from './edge/limits/shared-buckets.ts'
import { createStreamLimit } from './edge/limits/stream-limit.ts'
import { readGatewayFile } from './gateway-file.ts'
import { createHealthChecks } from './health-checks.ts'
import { registerDocs } from './http/docs-page.ts'
import { createHealth, type HealthDetails } from './http/health.ts'
import { trustedAddresses } from './http/trusted-addresses.ts'
import { createGatewayMetrics, type GatewayMetrics } from './metrics.ts'
import type { Codec } from './transcoding/codec.ts'
import { createCompiledCodec } from './transcoding/compiled/compiled-codec.ts'
import { createOpenStreams } from './transcoding/open-streams.ts'
import { openUpstream, type Upstream } from './upstream/upstreams.ts'

/** Time in milliseconds that open streams have to end during the drain. The whole stop may take 30 s. */
const STREAM_GRACE_MS = 10_000
/** Time in milliseconds without progress after which a connection is aborted whose client does not read its response. */
const WRITE_TIMEOUT_MS = 60_000
/** Interval in milliseconds between two health checks of `waitUntilReady`. */
const READY_POLL_MS = 50

/** A gateway that is ready to listen. */
export interface Gateway {
  /** Resolves when the port is open. Does nothing if the drain has started. */
  listen(): Promise<void>
  /** Checks each upstream once, and resolves when the gateway is ready, or after `timeoutMs` milliseconds. */
  waitUntilReady(timeoutMs: number): Promise<void>
  /** Keeps `/readyz` at 200 during the drain. For a worker whose port other workers continue to serve. */
  stayReadyWhileDraining(): void
  readonly metrics: GatewayMetrics
  /** The results of all health checks. */
  readonly healthDetails: () => Promise<HealthDetails>
  /** The steps of the shutdown, in order. */
  readonly stages: readonly Stage[]
}

/**
 * Builds a gateway that does not listen yet.
 * @param env values of the variables in gateway.yaml.
 * @throws SettingsError if gateway.yaml, or a contract, TLS file or address in it is invalid; ContractError if a contract
 * cannot be served.
 */
export async function createGateway(
  settings: GatewaySettings,
  env: NodeJS.ProcessEnv,
  logger: Logger,
): Promise<Gateway> {
  const telemetry = await startTelemetry({
    service: 'gateway',
    endpoint: settings.OTEL_EXPORTER_OTLP_ENDPOINT,
    protocol: settings.OTEL_EXPORTER_OTLP_PROTOCOL,
  })
  const metrics = createGatewayMetrics()
  const file = readGatewayFile(settings.GATEWAY_CONFIG, env)
  const exposure = { compareLimits: createLimitOrder(file.limits), env }
  const upstreams = new Map(
    file.upstreams.map(config => [config.name, openUpstream(config, exposure, settings.GATEWAY_CONFIG, logger)]),
  )
  const upstreamOf = (name: string) => upstreams.get(name) as Upstream
  const exposed = [...upstreams.values()].flatMap(upstream => upstream.exposed)
  const routes = buildRouteTable(exposed, ({ name, reason }) =>
    logger.warn({ method: name, reason }, 'method or binding cannot be served and is left out'),
  )
  const authService = connectAuthService({
    address: settings.AUTH_SVC_ADDRESS,
    redisUrl: settings.REDIS_URL,
    maxHeartbeatAgeMs: settings.REVOCATION_SILENCE_LIMIT_S * 1000,
    logger,
    onRevocationApplied: metrics.revocationApplied,
  })
  const buckets = createSharedBuckets({ redisUrl: settings.REDIS_URL, logger })
  const openStreams = createOpenStreams()
  metrics.watch.droppedSpans(telemetry.droppedSpans)
  watchState(metrics, authService, buckets, [...upstreams.values()])

  let isDraining = false
  let staysReady = false
  const healthChecks = createHealthChecks(authService, [...upstreams.values()], routes)
  const health = createHealth(healthChecks, () => !isDraining || staysReady)
  metrics.watch.healthChecks(async () => (await health.details()).checks)
  const app = await buildApp({
    logger,
    metrics,
    routes,
    transcoding: {
      codecFor: route => createCodec(route, upstreamOf(route.upstream), logger),
      transportOf: name => upstreamOf(name).transport,
      streamsOf: name => upstreamOf(name).streams,
      forwardingOf: name => upstreamOf(name).forwardError,
      openStreams,
      streamLimit: createStreamLimit(settings.STREAMS_PER_CALLER),
      defaultTimeoutOf: name => upstreamOf(name).config.timeoutMs,
    },
    authentication: {
      keys: authService.keys,
      issuer: settings.TOKEN_ISSUER,
      audience: settings.TOKEN_AUDIENCE,
      revocations: authService.revocations,
      isStale: authService.follower.isStale,
    },
    limits: { settings: file.limits, buckets, onDecision: metrics.rateLimitDecision },
    publicUrl: settings.PUBLIC_URL,
    corsOrigins: settings.CORS_ORIGINS,
    trustedProxies: settings.TRUSTED_PROXIES,
    clientAddressHeader: settings.CLIENT_ADDRESS_HEADER,
    connections: {
      maxConnections: settings.GATEWAY_MAX_CONNECTIONS,
      maxConnectionsPerAddress: settings.GATEWAY_MAX_CONNECTIONS_PER_ADDRESS,
      isExempt: trustedAddresses(settings.TRUSTED_PROXIES),
      maxUnreadBytes: settings.GATEWAY_MAX_UNREAD_BYTES,
      writeTimeoutMs: WRITE_TIMEOUT_MS,
    },
    bodyLimit: settings.BODY_LIMIT,
    sampleRatio: settings.TRACE_SAMPLE_RATIO,
    errorSampleRatio: settings.TRACE_ERROR_SAMPLE_RATIO,
    health,
    isDraining: () => isDraining,
    registerDocs: instance =>
      registerDocs(instance, {
        document: buildOpenApi(routes, { title: 'Gatehouse', version: '1', publicUrl: settings.PUBLIC_URL }),
      }),
  })

  return {
    metrics,
    healthDetails: health.details,
    async listen() {
      if (isDraining) return
      await app.listen({ host: settings.LISTEN_HOST, port: settings.GATEWAY_PORT })
      logger.info({ routes: routes.length }, 'gateway listening')
    },
    async waitUntilReady(timeoutMs) {
      const deadline = performance.now() + timeoutMs
      // Also connects to the upstreams.
      await health.details()
      while (performance.now() < deadline && !(await health.isReady())) await delay(READY_POLL_MS)
    },
    stayReadyWhileDraining() {
      staysReady = true
    },
    stages: [
      {
        name: 'readiness',
        stop: () => {
          isDraining = true
          return delay(settings.DRAIN_DELAY_MS)
        },
      },
      { name: 'streams', stop: () => openStreams.end(STREAM_GRACE_MS) },
      { name: 'http', stop: () => app.close() },
      { name: 'revocations', stop: () => authService.follower.stop() },
      { name: 'limits', stop: () => buckets.close() },
      {
        name: 'upstreams',
        stop: () => {
          authService.close()
          for (const { streams } of upstreams.values()) streams.close()
          return Promise.all([...upstreams.values()].map(({ transport }) => transport.close()))
        },
      },
      { name: 'telemetry', stop: () => telemetry.shutdown() },
    ],
  }
}

function createCodec(route: Route, { registry }: Upstream, logger: Logger): Codec {
  const codec = createCompiledCodec(route, registry)
  const { uncompiled } = codec
  if (uncompiled.length > 0)
    logger.debug({ method: route.name, uncompiled }, 'using the reference codec for some message types')
  return codec
}

function watchState(
  { watch }: GatewayMetrics,
  { revocations, follower }: AuthServiceConnection,
  buckets: SharedBuckets,
  upstreams: readonly Upstream[],
): void {
  watch.revocationEntries(() => revocations.size)
  watch.revocationLag(() => follower.staleForMs() / 1000)
  watch.revocationHeartbeatAge(() => follower.heartbeatAgeMs() / 1000)
  watch.rateLimitFallback(() => buckets.isLocal)
  watch.openStreams(() => upstreams.reduce((sum, { streams }) => sum + streams.size, 0))
}
