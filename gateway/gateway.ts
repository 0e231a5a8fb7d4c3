/** One gateway, put together: what it reads at boot, what it keeps open, and in which order it lets go of it. */
import { setTimeout as delay } from 'node:timers/promises'
import { AuthServiceClient } from '#proto/auth/v1/auth.ts'
import { RevocationServiceClient } from '#proto/auth/v1/revocations.ts'
import { createRemoteKeySet } from '#runtime/auth/key-set.ts'
import { callUnary, createClient } from '#runtime/grpc/client.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import type { Settings } from '#runtime/process/env.ts'
import type { Stage } from '#runtime/process/lifecycle.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { buildApp } from './app.ts'
import type { settings as shape } from './config.ts'
import { buildOpenApi } from './contract/openapi.ts'
import { buildRouteTable } from './contract/route-table.ts'
import { createSharedBuckets } from './edge/limits/shared-buckets.ts'
import { fetchSnapshot } from './edge/revocations/revocation-entries.ts'
import { followRevocations } from './edge/revocations/revocation-follower.ts'
import { createRevocationSet } from './edge/revocations/revocation-set.ts'
import { readGatewayFile } from './gateway-file.ts'
import { registerDocs } from './http/docs-page.ts'
import { type HealthCheck, isHealthy } from './http/health.ts'
import { createGatewayMetrics, type GatewayMetrics } from './metrics.ts'
import { createCompiledCodec } from './transcoding/compiled/compiled-codec.ts'
import { createOpenStreams } from './transcoding/open-streams.ts'
import { openUpstream } from './upstream/upstreams.ts'

/** Of the 30 s that a stop may take, those in which streams may come to their end. */
const STREAM_GRACE_MS = 10_000

export interface Gateway {
  /** Resolves when requests are taken; takes none when it was told to stop before. */
  listen(): Promise<void>
  /** Resolves when it can do its work, or when `timeoutMs` have passed. */
  ready(timeoutMs: number): Promise<void>
  /** Drains without a word to balancers: others serve on the same port. */
  hideStop(): void
  readonly metrics: GatewayMetrics
  /** In the order in which they are to be stopped. */
  readonly stages: readonly Stage[]
}

/** @param env for what the gateway's file takes from it. */
export async function createGateway(
  settings: Settings<typeof shape>,
  env: NodeJS.ProcessEnv,
  logger: Logger,
): Promise<Gateway> {
  const telemetry = await startTelemetry({
    service: 'gateway',
    endpoint: settings.OTEL_EXPORTER_OTLP_ENDPOINT,
    protocol: settings.OTEL_EXPORTER_OTLP_PROTOCOL,
  })

  const metrics = createGatewayMetrics()
  metrics.watch.droppedSpans(telemetry.droppedSpans)

  const file = readGatewayFile(settings.GATEWAY_CONFIG, env)
  const upstreams = file.upstreams.map(config => openUpstream(config, logger))
  const upstreamOf = (name: string) =>
    upstreams.find(upstream => upstream.config.name === name) as (typeof upstreams)[number]
  const routes = buildRouteTable(upstreams.flatMap(upstream => upstream.exposed))

  const auth = createClient(AuthServiceClient, settings.AUTH_SVC_ADDRESS)
  const revocationService = createClient(RevocationServiceClient, settings.AUTH_SVC_ADDRESS)
  const keys = createRemoteKeySet({
    fetch: async () => (await callUnary(auth, auth.getJwks, {})).keys,
    logger,
  })

  // A command is not sent again on another connection: that one may be to another Redis, and the follower must know.
  const redis = createRedis(settings.REDIS_URL, logger, {
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  })
  const revocations = createRevocationSet()
  const follower = followRevocations({
    redis,
    snapshot: signal => fetchSnapshot(revocationService, signal),
    maxHeartbeatAgeMs: settings.REVOCATION_SILENCE_LIMIT_S * 1000,
    set: revocations,
    logger,
    onApplied: metrics.revocationApplied,
  })

  metrics.watch.revocationEntries(() => revocations.size)
  metrics.watch.revocationLag(() => follower.staleForMs() / 1000)
  metrics.watch.revocationSilence(() => follower.heartbeatAgeMs() / 1000)
  const buckets = createSharedBuckets({ redisUrl: settings.REDIS_URL, logger })
  metrics.watch.rateLimitFallback(() => buckets.isLocal)

  const healthChecks: HealthCheck[] = [
    {
      name: 'keys of auth-svc',
      problem: async () => {
        if (!keys.isLoaded) await keys.refresh().catch(() => {})
        return keys.isLoaded ? undefined : 'not fetched yet'
      },
    },
    {
      name: 'revocations',
      problem: () => (follower.isStale() ? 'the stream in Redis or auth-svc cannot be had' : undefined),
    },
    ...upstreams.map(({ config, transport }) => ({
      name: `upstream ${config.name}`,
      problem: async () => ((await transport.isServing()) ? undefined : 'does not answer as serving'),
    })),
  ]

  const openStreams = createOpenStreams()
  metrics.watch.openStreams(() => upstreams.reduce((sum, { streams }) => sum + streams.size, 0))

  let isStopping = false
  let isStopHidden = false
  const app = await buildApp({
    logger,
    metrics,
    routes,
    transcoding: {
      codecFor: route => {
        const codec = createCompiledCodec(route, upstreamOf(route.upstream).registry)
        const { uncompiled: types } = codec
        if (types.length > 0) logger.debug({ method: route.name, types }, 'no codec is compiled for a part of a method')
        return codec
      },
      transportOf: name => upstreamOf(name).transport,
      streamsOf: name => upstreamOf(name).streams,
      openStreams,
      defaultTimeoutOf: name => upstreamOf(name).config.timeoutMs,
    },
    authentication: {
      keys,
      issuer: settings.TOKEN_ISSUER,
      audience: settings.TOKEN_AUDIENCE,
      revocations,
      isStale: follower.isStale,
    },
    limits: { settings: file.limits, buckets, onDecision: metrics.rateLimited },
    publicUrl: settings.PUBLIC_URL,
    corsOrigins: settings.CORS_ORIGINS,
    trustedProxies: settings.TRUSTED_PROXIES,
    bodyLimit: settings.BODY_LIMIT,
    sampleRatio: settings.TRACE_SAMPLE_RATIO,
    errorSampleRatio: settings.TRACE_ERROR_SAMPLE_RATIO,
    healthChecks,
    isStopping: () => isStopping,
    isReady: () => !isStopping || isStopHidden,
    registerDocs: instance =>
      registerDocs(instance, {
        document: buildOpenApi(routes, { title: 'Gatehouse', version: '1', publicUrl: settings.PUBLIC_URL }),
      }),
  })

  return {
    metrics,
    async listen() {
      if (isStopping) return
      await app.listen({ host: settings.LISTEN_HOST, port: settings.GATEWAY_PORT })
      logger.info({ routes: routes.length }, 'the gateway is listening')
    },
    async ready(timeoutMs) {
      const deadline = performance.now() + timeoutMs
      while (performance.now() < deadline && !(await isHealthy(healthChecks))) await delay(50)
    },
    hideStop() {
      isStopHidden = true
    },
    stages: [
      {
        name: 'readiness',
        stop: () => {
          isStopping = true
          return delay(settings.DRAIN_DELAY_MS)
        },
      },
      { name: 'streams', stop: () => openStreams.end(STREAM_GRACE_MS) },
      { name: 'http', stop: () => app.close() },
      { name: 'revocations', stop: () => follower.stop() },
      { name: 'limits', stop: () => buckets.close() },
      {
        name: 'upstreams',
        stop: () => {
          auth.close()
          revocationService.close()
          for (const { streams } of upstreams) streams.close()
          return Promise.all(upstreams.map(({ transport }) => transport.close()))
        },
      },
      { name: 'telemetry', stop: () => telemetry.shutdown() },
    ],
  }
}
