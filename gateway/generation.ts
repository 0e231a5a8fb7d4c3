/**
 * A generation of the configuration: everything that follows from gateway.yaml and the contracts. It is built beside the one
 * that serves, and takes over its requests when it is complete.
 */
import type { Logger } from '#runtime/observability/logger.ts'
import { buildApiDocument } from './api-reference/api-document.ts'
import { type App, buildApp } from './app.ts'
import type { AuthServiceConnection } from './auth-service.ts'
import type { GatewaySettings } from './config.ts'
import { assertRedis, type Configuration, missingContracts, planRoutes } from './configuration.ts'
import type { Route } from './contract/route-table.ts'
import type { Buckets } from './edge/limits/buckets.ts'
import type { StreamLimit } from './edge/limits/stream-limit.ts'
import { createHealthChecks } from './health-checks.ts'
import { registerDocs } from './http/docs-page.ts'
import { createHealth, type Health } from './http/health.ts'
import type { HttpServer } from './http/listener/http-server.ts'
import type { RequestTelemetry } from './http/request-telemetry.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { Codec } from './transcoding/codec.ts'
import { createCompiledCodec } from './transcoding/compiled/compiled-codec.ts'
import { createOpenStreams } from './transcoding/open-streams.ts'
import type { Connections } from './upstream/connections.ts'
import { isReflected } from './upstream/upstream-config.ts'
import type { UpstreamContract } from './upstream/upstream-contract.ts'

/** What lives as long as the process. */
export interface ProcessParts {
  readonly settings: GatewaySettings
  readonly logger: Logger
  readonly metrics: GatewayMetrics
  readonly server: HttpServer
  readonly telemetry: RequestTelemetry
  readonly connections: Connections
  readonly buckets: Buckets
  readonly streamLimit: StreamLimit
  /** Connects to auth-svc when it is first called. REDIS_URL must be set. */
  readonly authService: () => AuthServiceConnection
  /** Returns what is wrong with the contract of an upstream that is read by reflection. */
  readonly contractProblem: (upstream: string) => string | undefined
  /** False while the process drains. */
  readonly isServing: () => boolean
}

export interface Generation {
  readonly configuration: Configuration
  readonly routes: readonly Route[]
  readonly app: App
  readonly health: Health
  /** Ends the open streams after `graceMs` milliseconds. */
  endStreams(graceMs: number): Promise<void>
  /** Waits until the last request has its response, then releases the connections. */
  close(): Promise<void>
}

/**
 * Returns the OpenAPI document of the routes.
 * @param onInvalidExample called for each example in the contract that is not valid, with the name of its field or message.
 */
export function describeApi(
  routes: readonly Route[],
  { file }: Pick<Configuration, 'file'>,
  { PUBLIC_URL, BODY_LIMIT }: Pick<GatewaySettings, 'PUBLIC_URL' | 'BODY_LIMIT'>,
  onInvalidExample?: (name: string, reason: string) => void,
): object {
  return buildApiDocument({
    routes,
    api: file.api,
    limits: file.limits,
    ownUpstreams: new Set(file.upstreams.filter(({ errors }) => errors === 'own').map(({ name }) => name)),
    publicUrl: PUBLIC_URL,
    bodyLimit: BODY_LIMIT,
    ...(onInvalidExample && { onInvalidExample }),
  })
}

/**
 * Builds a generation. Nothing is left behind if it fails.
 * @throws SettingsError that lists what is wrong with the configuration.
 */
export async function buildGeneration(configuration: Configuration, parts: ProcessParts): Promise<Generation> {
  const { settings, logger, metrics } = parts
  const { file } = configuration
  const plan = planRoutes(configuration)
  assertRedis(plan, settings)
  const { routes, verifying } = plan
  for (const { name, reason } of plan.omitted) logger.warn({ method: name, reason }, 'method or binding is left out')
  const auth = verifying.length > 0 ? parts.authService() : undefined
  const leases = leaseAll(configuration, parts.connections)
  const openStreams = createOpenStreams()
  const release = () => Promise.all([...leases.values()].map(lease => lease.release()))
  try {
    const upstreams = file.upstreams.flatMap(config => {
      const { name } = config
      const { transport, canary } = leaseOf(name)
      const contractProblem = isReflected(config) ? () => parts.contractProblem(name) : undefined
      const second = canary && { name: `${name}/canary`, transport: canary.transport, contractProblem: undefined }
      return [{ name, transport, contractProblem }, ...(second === undefined ? [] : [second])]
    })
    const health = createHealth(createHealthChecks(auth, upstreams), parts.isServing)
    const app = await buildApp({
      logger,
      metrics,
      server: parts.server,
      telemetry: parts.telemetry,
      routes,
      transcoding: {
        codecFor: route => createCodec(route, contractOf(route.upstream), logger),
        connectionOf: leaseOf,
        forwardingOf: name => contractOf(name).forwardError,
        openStreams,
        streamLimit: parts.streamLimit,
        defaultTimeoutOf: name => configOf(name).timeoutMs,
        onClientDeadline: metrics.clientDeadline,
      },
      authentication: auth && {
        keys: auth.keys,
        issuer: settings.TOKEN_ISSUER,
        audience: settings.TOKEN_AUDIENCE,
        revocations: auth.revocations,
        isStale: auth.follower.isStale,
      },
      limits: { settings: file.limits, buckets: parts.buckets, onDecision: metrics.rateLimitDecision },
      publicUrl: settings.PUBLIC_URL,
      corsOrigins: settings.CORS_ORIGINS,
      trustedProxies: settings.TRUSTED_PROXIES,
      clientAddressHeader: settings.CLIENT_ADDRESS_HEADER,
      bodyLimit: settings.BODY_LIMIT,
      serverTiming: settings.SERVER_TIMING === 'on',
      health,
      lacksContract: missingContracts(configuration).length > 0,
      registerDocs: instance =>
        registerDocs(instance, {
          document: describeApi(routes, configuration, settings, (name, reason) =>
            logger.warn({ name, reason }, 'an example in the contract is not valid and is left out'),
          ),
        }),
    })
    return {
      configuration,
      routes,
      app,
      health,
      endStreams: graceMs => openStreams.end(graceMs),
      async close() {
        await app.telemetry.ended()
        try {
          await app.instance.close()
        } finally {
          await release()
        }
      },
    }
  } catch (error) {
    await release()
    throw error
  }

  function leaseOf(name: string) {
    return leases.get(name) as ReturnType<Connections['lease']>
  }
  function contractOf(name: string) {
    return plan.contracts.get(name) as UpstreamContract
  }
  function configOf(name: string) {
    return file.upstreams.find(config => config.name === name) as Configuration['file']['upstreams'][number]
  }
}

function leaseAll({ file }: Configuration, connections: Connections) {
  const leases = new Map<string, ReturnType<Connections['lease']>>()
  try {
    for (const config of file.upstreams) leases.set(config.name, connections.lease(config))
    return leases
  } catch (error) {
    for (const lease of leases.values()) void lease.release()
    throw error
  }
}

function createCodec(route: Route, { registry }: UpstreamContract, logger: Logger): Codec {
  const codec = createCompiledCodec(route, registry)
  const { uncompiled } = codec
  if (uncompiled.length > 0)
    logger.debug({ method: route.name, uncompiled }, 'using the reference codec for some message types')
  return codec
}
