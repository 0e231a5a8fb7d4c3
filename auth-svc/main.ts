import { setTimeout } from 'node:timers/promises'
import { AccountServiceClient } from '#proto/user/v1/account.ts'
import { createClient } from '#runtime/grpc/client.ts'
import { readContract } from '#runtime/grpc/contract.ts'
import { createLogger } from '#runtime/observability/logger.ts'
import { type MetricsServer, serveMetrics } from '#runtime/observability/metrics-server.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import { databaseOptionsOf, openDatabase } from '#runtime/postgres/database.ts'
import { readSettings, SettingsError } from '#runtime/process/env.ts'
import { manageLifecycle } from '#runtime/process/lifecycle.ts'
import { createRedis } from '#runtime/process/redis.ts'
import type { BackgroundTasks } from './background-tasks.ts'
import { settingsSchema } from './config.ts'
import { createAuthMetrics } from './metrics.ts'
import { type AuthServer, createAuthServer } from './server.ts'
import { assertDurable } from './sessions/redis-durability.ts'
import { SCHEMA, type Tables } from './tables.ts'

const settings = readSettings(settingsSchema)
const { ADMIN_EMAIL: adminEmail, ADMIN_PASSWORD: adminPassword } = settings
if ((adminEmail === undefined) !== (adminPassword === undefined)) {
  throw new SettingsError('ADMIN_EMAIL and ADMIN_PASSWORD must be set together')
}
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
const users = createClient(AccountServiceClient, settings.USER_SVC_ADDRESS)

async function open(): Promise<AuthServer> {
  await assertDurable(redis, logger)
  const contract = readContract(new URL('../proto/gen/contract.binpb', import.meta.url))
  return createAuthServer({ contract, logger, metrics, database, redis, users, settings })
}

async function start(): Promise<void> {
  if (adminEmail !== undefined && adminPassword !== undefined) {
    await server.ensureFirstAdministrator({ email: adminEmail, password: adminPassword })
  }
  metricsServer = await serveMetrics({
    host: settings.LISTEN_HOST,
    port: settings.AUTH_SVC_METRICS_PORT,
    snapshot: metrics.snapshot,
    logger,
  })
  const port = await server.grpc.listen(`${settings.LISTEN_HOST}:${settings.AUTH_SVC_PORT}`)
  background = await server.startBackground()
  logger.info({ host: settings.LISTEN_HOST, port }, 'listening')
}

function fail(error: unknown): never {
  logger.fatal({ err: error }, 'auth-svc failed to start')
  process.exit(1)
}

const server = await open().catch(fail)
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

await start().catch(fail)
