import { join } from 'node:path'
import { migrationSettings, readSettings } from '#runtime/env.ts'
import { createLogger } from '#runtime/logger.ts'
import { runMigrationCommand } from '#runtime/migration-command.ts'
import { SCHEMA } from './tables.ts'

const { DATABASE_URL, LOG_LEVEL } = readSettings(migrationSettings)

const done = await runMigrationCommand(process.argv[2] ?? 'up', {
  url: DATABASE_URL,
  schema: SCHEMA,
  folder: join(import.meta.dirname, 'migrations'),
  logger: createLogger({ service: 'user-svc-migrate', level: LOG_LEVEL }),
})
if (!done) process.exitCode = 1
