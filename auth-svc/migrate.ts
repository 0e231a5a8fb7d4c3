import { join } from 'node:path'
import { runMigrations } from 'graphile-worker'
import { createLogger } from '#runtime/observability/logger.ts'
import { toWorkerLogger } from '#runtime/postgres/job-worker.ts'
import { runMigrationCommand } from '#runtime/postgres/migration-command.ts'
import { migrationSettings, readSettings } from '#runtime/process/env.ts'
import { JOBS_SCHEMA, SCHEMA } from './tables.ts'

const { DATABASE_URL, LOG_LEVEL } = readSettings(migrationSettings)
const logger = createLogger({ service: 'auth-svc-migrate', level: LOG_LEVEL })
const command = process.argv[2] ?? 'up'

const done = await runMigrationCommand(command, {
  url: DATABASE_URL,
  schema: SCHEMA,
  folder: join(import.meta.dirname, 'migrations'),
  logger,
})
// The queue's own, which know no way back.
if (done && command === 'up') {
  await runMigrations({ connectionString: DATABASE_URL, schema: JOBS_SCHEMA, logger: toWorkerLogger(logger) })
}
if (!done) process.exitCode = 1
