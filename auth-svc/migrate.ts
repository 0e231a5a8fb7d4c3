import { join } from 'node:path'
import { runMigrations } from 'graphile-worker'
import { migrationSettings, readSettings } from '#runtime/env.ts'
import { toWorkerLogger } from '#runtime/job-worker.ts'
import { createLogger } from '#runtime/logger.ts'
import { runMigrationCommand } from '#runtime/migration-command.ts'
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
