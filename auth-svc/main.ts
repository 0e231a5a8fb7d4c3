import { setTimeout } from 'node:timers/promises'
import { AccountServiceClient } from '#proto/user/v1/account.ts'
import { createClient } from '#runtime/grpc/client.ts'
import { parseContract, readImage } from '#runtime/grpc/contract.ts'
import { createLogger } from '#runtime/observability/logger.ts'
import { type MetricsServer, serveMetrics } from '#runtime/observability/metrics-server.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import { databaseOptionsOf, openDatabase } from '#runtime/postgres/database.ts'
import { boot, listenOn } from '#runtime/process/boot.ts'
import { readSettings, SettingsError } from '#runtime/process/env.ts'
import { manageLifecycle } from '#runtime/process/lifecycle.ts'
import { createRedis } from '#runtime/process/redis.ts'
import type { BackgroundTasks } from './background-tasks.ts'
import { settingsSchema } from './config.ts'
import { createAuthMetrics } from './metrics.ts'
import { type AuthServer, createAuthServer } from './server.ts'
import { assertDurable } from './sessions/redis-durability.ts'
import { SCHEMA, type Tables } from './tables.ts'

const settings = await boot('auth-svc', () => {
  const given = readSettings(settingsSchema)
  if ((given.ADMIN_EMAIL === undefined) !== (given.ADMIN_PASSWORD === undefined)) {
    throw new SettingsError('ADMIN_EMAIL and ADMIN_PASSWORD must be set together')
  }
  return given
})
const { ADMIN_EMAIL: adminEmail, ADMIN_PASSWORD: adminPassword, LISTEN_HOST: host } = settings
const logger = createLogger({ service: 'auth-svc', level: settings.LOG_LEVEL })
const telemetry = await startTelemetry({
  service: 'auth-svc',
  endpoint: settings.OTEL_EXPORTER_OTLP_ENDPOINT,
  protocol: settings.OTEL_EXPORTER_OTLP_PROTOCOL,
})
const metrics = createAuthMetrics()
metrics.watch.droppedSpans(telemetry.droppedSpans)
const database = openDatabase<Tables>({
  ...databaseOptionsOf(settings),
  schema: SCHEMA,
  logger,
})
const redis = createRedis(settings.REDIS_URL, logger)
const users = createClient(AccountServiceClient, settings.USER_SVC_ADDRESS, 'USER_SVC_ADDRESS')

async function open(): Promise<AuthServer> {
  await connect('REDIS_URL', 'Redis', () => redis.ping())
  await connect('DATABASE_URL', 'PostgreSQL', database.ping)
  await assertDurable(redis, logger)
  const image = readImage(new URL('../proto/gen/contract.binpb', import.meta.url))
  const reflectedImage = settings.GRPC_REFLECTION === 'on' ? image : undefined
  return createAuthServer({
    contract: parseContract(image),
    reflectedImage,
    logger,
    metrics,
    database,
    redis,
    users,
    settings,
  })
}

/** @throws SettingsError that names the store and its host, without the credentials of the URL. */
async function connect(setting: 'REDIS_URL' | 'DATABASE_URL', store: string, ping: () => Promise<unknown>) {
  try {
    await ping()
  } catch (cause) {
    const { host } = new URL(settings[setting])
    throw new SettingsError(`${setting}: cannot connect to ${store} at ${host}: ${(cause as Error).message}`, { cause })
  }
}

async function start(): Promise<void> {
  if (adminEmail !== undefined && adminPassword !== undefined) {
    await server.ensureFirstAdministrator({ email: adminEmail, password: adminPassword })
  }
  const metricsPort = settings.AUTH_SVC_METRICS_PORT
  metricsServer = await listenOn('AUTH_SVC_METRICS_PORT', `${host}:${metricsPort}`, () =>
    serveMetrics({ host, port: metricsPort, snapshot: metrics.snapshot, logger }),
  )
  const address = `${host}:${settings.AUTH_SVC_PORT}`
  const port = await listenOn('AUTH_SVC_PORT', address, () => server.grpc.listen(address))
  background = await server.startBackground()
  logger.info({ host, port }, 'listening')
}

const server = await boot('auth-svc', open)
let metricsServer: MetricsServer | undefined
let background: BackgroundTasks | undefined

manageLifecycle({
  logger,
  stages: [
    { name: 'readiness', stop: () => server.grpc.announceStop() },
    { name: 'drain delay', stop: () => setTimeout(settings.DRAIN_DELAY_MS) },
    { name: 'server', stop: () => server.grpc.stop() },
    { name: 'background', stop: () => background?.stop() },
    { name: 'user-svc', stop: () => users.close() },
    { name: 'password strength', stop: () => server.close() },
    // QUIT fails if Redis is unavailable.
    { name: 'redis', stop: () => redis.quit().catch(() => redis.disconnect()) },
    { name: 'database', stop: () => database.close() },
    { name: 'metrics', stop: () => metricsServer?.close() },
    { name: 'telemetry', stop: () => telemetry.shutdown() },
  ],
})

await boot('auth-svc', start)
