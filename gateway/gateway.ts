/** Assembles the gateway from its settings: what lives as long as the process, and the order of the shutdown. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '#runtime/observability/logger.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import type { Stage } from '#runtime/process/lifecycle.ts'
import { type AuthServiceConnection, connectAuthService } from './auth-service.ts'
import type { GatewaySettings } from './config.ts'
import { readConfiguration } from './configuration.ts'
import { createLocalBuckets } from './edge/limits/local-buckets.ts'
import { createSharedBuckets, type SharedBuckets } from './edge/limits/shared-buckets.ts'
import { createStreamLimit } from './edge/limits/stream-limit.ts'
import { buildGeneration } from './generation.ts'
import { createAccessLog } from './http/access-log.ts'
import { createErrorSampler } from './http/error-sampling.ts'
import type { HealthDetails } from './http/health.ts'
import { createHttpServer } from './http/listener/http-server.ts'
import { createRequestTelemetry } from './http/request-telemetry.ts'
import { trustedAddresses } from './http/trusted-addresses.ts'
import { createGatewayMetrics, type GatewayMetrics } from './metrics.ts'
import { createReflectedContracts, type ReflectedContracts } from './reflected-contracts.ts'
import { createReloader, type Reloader, type ReloadOutcome } from './reload.ts'
import { createConnections } from './upstream/connections.ts'

/** Time in milliseconds that open streams have to end during the drain. The whole stop may take 30 s. */
const STREAM_GRACE_MS = 10_000
/** Time in milliseconds without progress after which a connection is aborted whose client does not read its response. */
const WRITE_TIMEOUT_MS = 60_000
/** Maximum time in milliseconds that the boot waits for contracts read by reflection. Their paths are 503 until then. */
const FIRST_CONTRACT_TIMEOUT_MS = 3000
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
  /** Reads gateway.yaml and the contracts again. If they are invalid, logs why and changes nothing. */
  reload(reason: string): Promise<ReloadOutcome>
  readonly metrics: GatewayMetrics
  /** The results of all health checks. */
  readonly healthDetails: () => Promise<HealthDetails>
  /** The steps of the shutdown, in order. */
  readonly stages: readonly Stage[]
}

/**
 * Builds a gateway that does not listen yet.
 * @param env values of the variables in gateway.yaml.
 * @throws SettingsError that lists all that is wrong with gateway.yaml and the contracts, TLS files and addresses in it.
 */
export async function createGateway(
  settings: GatewaySettings,
  env: NodeJS.ProcessEnv,
  logger: Logger,
): Promise<Gateway> {
  const contracts: ReflectedContracts = createReflectedContracts({
    folder: settings.GATEWAY_CONTRACT_DIR,
    logger,
    onRead: (upstream, outcome) => metrics.contractRead(upstream, outcome),
    replace: (change, reason) => reloader.replace(change, reason),
  })
  const configuration = contracts.first(known => readConfiguration(settings.GATEWAY_CONFIG, env, known))
  const tracing = await startTelemetry({
    service: 'gateway',
    endpoint: settings.OTEL_EXPORTER_OTLP_ENDPOINT,
    protocol: settings.OTEL_EXPORTER_OTLP_PROTOCOL,
  })
  const metrics = createGatewayMetrics()
  metrics.watch.droppedSpans(tracing.droppedSpans)
  const telemetry = createRequestTelemetry({
    sampleRatio: settings.TRACE_SAMPLE_RATIO,
    sampleError: createErrorSampler(settings.TRACE_ERROR_SAMPLE_RATIO),
    accessLog: createAccessLog(logger),
    metrics: metrics.http,
  })
  metrics.watch.requestsInFlight(telemetry.inFlight)

  let isDraining = false
  let staysReady = false
  const server = await createHttpServer({
    logger,
    limits: {
      maxConnections: settings.GATEWAY_MAX_CONNECTIONS,
      maxConnectionsPerAddress: settings.GATEWAY_MAX_CONNECTIONS_PER_ADDRESS,
      isExempt: trustedAddresses(settings.TRUSTED_PROXIES),
      maxUnreadBytes: settings.GATEWAY_MAX_UNREAD_BYTES,
      writeTimeoutMs: WRITE_TIMEOUT_MS,
    },
    corsOrigins: settings.CORS_ORIGINS,
    isDraining: () => isDraining,
    onMalformed: telemetry.countMalformed,
    onRejected: metrics.connectionRejected,
  })
  metrics.watch.openConnections(server.connections)
  const connections = createConnections({ file: settings.GATEWAY_CONFIG, logger, eventsOf: metrics.upstream })
  metrics.watch.upstreams(connections.states)
  metrics.watch.openStreams(connections.openStreams)

  const buckets = openBuckets(settings, logger)
  metrics.watch.rateLimitFallback(() => buckets?.isLocal ?? true)
  let auth: AuthServiceConnection | undefined
  watchRevocations(metrics, () => auth)

  function authService(): AuthServiceConnection {
    auth ??= connectAuthService({
      address: settings.AUTH_SVC_ADDRESS,
      // `assertRedis` rejects a configuration that needs auth-svc without Redis.
      redisUrl: settings.REDIS_URL as string,
      maxHeartbeatAgeMs: settings.REVOCATION_SILENCE_LIMIT_S * 1000,
      logger,
      onRevocationApplied: metrics.revocationApplied,
    })
    return auth
  }

  const parts = {
    settings,
    logger,
    metrics,
    server,
    telemetry,
    connections,
    buckets: buckets ?? createLocalBuckets(),
    streamLimit: createStreamLimit(settings.STREAMS_PER_CALLER),
    authService,
    contractProblem: contracts.problem,
    isServing: () => !isDraining || staysReady,
  }
  const reloader: Reloader = await createReloader(configuration, {
    build: next => buildGeneration(next, parts),
    serve: generation => server.serve(generation.app.instance),
    logger,
    onReload: metrics.configurationReload,
  })
  metrics.watch.contracts(contracts.states)
  contracts.follow(reloader.current.configuration)
  await contracts.attempted(FIRST_CONTRACT_TIMEOUT_MS)
  const health = () => reloader.current.health
  metrics.watch.healthChecks(async () => (await health().details()).checks)

  return {
    metrics,
    healthDetails: () => health().details(),
    reload: reason => contracts.reload(known => readConfiguration(settings.GATEWAY_CONFIG, env, known), reason),
    async listen() {
      if (isDraining) return
      await server.listen(settings.LISTEN_HOST, settings.GATEWAY_PORT)
      logger.info({ routes: reloader.current.routes.length }, 'gateway listening')
    },
    async waitUntilReady(timeoutMs) {
      const deadline = performance.now() + timeoutMs
      // Also connects to the upstreams.
      await health().details()
      while (performance.now() < deadline && !(await health().isReady())) await delay(READY_POLL_MS)
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
      { name: 'contracts', stop: () => contracts.stop() },
      { name: 'streams', stop: () => reloader.endStreams(STREAM_GRACE_MS) },
      { name: 'http', stop: () => server.close() },
      { name: 'revocations', stop: () => auth?.follower.stop() },
      { name: 'limits', stop: () => buckets?.close() },
      {
        name: 'upstreams',
        stop: () => {
          auth?.close()
          return reloader.close()
        },
      },
      { name: 'telemetry', stop: () => tracing.shutdown() },
    ],
  }
}

/** Undefined without Redis: then each process has buckets of its own. */
function openBuckets({ REDIS_URL: redisUrl }: GatewaySettings, logger: Logger): SharedBuckets | undefined {
  if (redisUrl !== undefined) return createSharedBuckets({ redisUrl, logger })
  logger.warn('REDIS_URL is not set: each process of the gateway counts its rate limits alone')
  return undefined
}

/** Without a connection to auth-svc, there are no revocations. */
function watchRevocations({ watch }: GatewayMetrics, auth: () => AuthServiceConnection | undefined): void {
  watch.revocationEntries(() => auth()?.revocations.size ?? 0)
  watch.revocationLag(() => (auth()?.follower.staleForMs() ?? 0) / 1000)
  watch.revocationHeartbeatAge(() => (auth()?.follower.heartbeatAgeMs() ?? 0) / 1000)
}
