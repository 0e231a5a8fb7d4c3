import { setTimeout } from 'node:timers/promises'
import { AuthServiceClient } from '#proto/auth/v1/auth.ts'
import { SessionServiceClient } from '#proto/auth/v1/sessions.ts'
import { createRemoteKeySet } from '#runtime/auth/key-set.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { callUnary, createClient } from '#runtime/grpc/client.ts'
import { parseContract, readImage } from '#runtime/grpc/contract.ts'
import { createLogger } from '#runtime/observability/logger.ts'
import { type MetricsServer, serveMetrics } from '#runtime/observability/metrics-server.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import { databaseOptionsOf, openDatabase } from '#runtime/postgres/database.ts'
import { boot, listenOn } from '#runtime/process/boot.ts'
import { readSettings } from '#runtime/process/env.ts'
import { manageLifecycle } from '#runtime/process/lifecycle.ts'
import { settingsSchema } from './config.ts'
import { createUserMetrics } from './metrics.ts'
import { createErasure } from './privacy/erasure.ts'
import { createRetention } from './privacy/retention.ts'
import { startRetentionJob } from './privacy/retention-job.ts'
import { createUserServer } from './server.ts'
import { SCHEMA, type Tables } from './tables.ts'

/** Below the timeout of 30 s that the contract sets for bulk methods, so that the database error reaches the client. */
const ADMIN_STATEMENT_TIMEOUT_MS = 28_000

const settings = await boot('user-svc', () => readSettings(settingsSchema))
const { LISTEN_HOST: host, USER_SVC_METRICS_PORT: metricsPort } = settings
const logger = createLogger({ service: 'user-svc', level: settings.LOG_LEVEL })
const telemetry = await startTelemetry({
  service: 'user-svc',
  endpoint: settings.OTEL_EXPORTER_OTLP_ENDPOINT,
  protocol: settings.OTEL_EXPORTER_OTLP_PROTOCOL,
})
const metrics = createUserMetrics()
metrics.watch.droppedSpans(telemetry.droppedSpans)
const database = openDatabase<Tables>({
  ...databaseOptionsOf(settings),
  schema: SCHEMA,
  logger,
})
const adminDatabase = openDatabase<Tables>({
  ...databaseOptionsOf(settings),
  schema: SCHEMA,
  logger,
  poolSize: 2,
  statementTimeoutMs: ADMIN_STATEMENT_TIMEOUT_MS,
  preparedStatements: false,
})
// user-svc starts without auth-svc: the key set is fetched when a token is verified.
const auth = createClient(AuthServiceClient, settings.AUTH_SVC_ADDRESS, 'AUTH_SVC_ADDRESS')
const sessions = createClient(SessionServiceClient, settings.AUTH_SVC_ADDRESS, 'AUTH_SVC_ADDRESS')
const keys = createRemoteKeySet({ fetch: async () => (await callUnary(auth, auth.getJwks, {})).keys, logger })
const image = readImage(new URL('../proto/gen/contract.binpb', import.meta.url))
const server = createUserServer({
  contract: parseContract(image),
  reflectedImage: settings.GRPC_REFLECTION === 'on' ? image : undefined,
  logger,
  metrics,
  verifier: createTokenVerifier({
    keys,
    issuer: settings.TOKEN_ISSUER,
    audience: settings.TOKEN_AUDIENCE,
    acceptService: true,
  }),
  database,
  adminDatabase,
  sessions,
  pageTokenSecret: settings.PAGE_TOKEN_SECRET,
})
const retention = createRetention({
  db: adminDatabase.db,
  erasure: createErasure(adminDatabase.db),
  days: settings.RETENTION_DAYS,
  logger,
  onFailure: metrics.retentionFailure,
})
const retentionJob = await startRetentionJob({
  databaseUrl: settings.DATABASE_URL,
  preparedStatements: settings.DATABASE_PREPARED === 'on',
  retention,
  logger,
})

let metricsServer: MetricsServer | undefined

manageLifecycle({
  logger,
  stages: [
    { name: 'readiness', stop: () => server.announceStop() },
    { name: 'drain delay', stop: () => setTimeout(settings.DRAIN_DELAY_MS) },
    { name: 'server', stop: () => server.stop() },
    { name: 'retention', stop: () => retentionJob.stop() },
    { name: 'auth-svc', stop: () => Promise.all([auth.close(), sessions.close()]) },
    { name: 'database', stop: () => Promise.all([database.close(), adminDatabase.close()]) },
    { name: 'metrics', stop: () => metricsServer?.close() },
    { name: 'telemetry', stop: () => telemetry.shutdown() },
  ],
})

const address = `${host}:${settings.USER_SVC_PORT}`
await boot('user-svc', async () => {
  metricsServer = await listenOn('USER_SVC_METRICS_PORT', `${host}:${metricsPort}`, () =>
    serveMetrics({ host, port: metricsPort, snapshot: metrics.snapshot, logger }),
  )
  const port = await listenOn('USER_SVC_PORT', address, () => server.listen(address))
  logger.info({ host, port }, 'listening')
})
