import { join } from 'node:path'
import { migrationSettings, readSettings } from '#runtime/env.ts'
import { createLogger } from '#runtime/logger.ts'
import { migrate } from '#runtime/migrations.ts'
import { SCHEMA } from './tables.ts'

const { DATABASE_URL, LOG_LEVEL } = readSettings(migrationSettings)

await migrate({
  url: DATABASE_URL,
  schema: SCHEMA,
  folder: join(import.meta.dirname, 'migrations'),
  logger: createLogger({ service: 'user-svc-migrate', level: LOG_LEVEL }),
})
