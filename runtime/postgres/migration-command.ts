import { runMigrations } from 'graphile-worker'
import { createLogger } from '../observability/logger.ts'
import { migrationSettings, readSettings } from '../process/env.ts'
import { toWorkerLogger } from './job-worker.ts'
import { type MigrationOptions, migrate, migrateDown, migrationStatus } from './migrations.ts'

export interface MigrationCommandOptions {
  /** Name of the service, such as `auth-svc`. */
  service: string
  /** Schema of the service's tables. */
  schema: string
  /** Schema of the service's job queue. */
  jobsSchema: string
  /** Folder of the migration files. */
  folder: string
}

/**
 * Runs the command line of a service's `migrate.ts`, with the settings `DATABASE_URL` and `LOG_LEVEL`:
 *
 * - `up` (default) applies the pending migrations of the service and those of graphile-worker.
 * - `down` reverts the latest migration of the service. The migrations of graphile-worker cannot be reverted.
 * - `status` prints one line per migration.
 * @returns false if the command failed; the error is logged.
 * @throws SettingsError for missing or invalid settings.
 */
export async function runMigrationCommand(
  command: string | undefined,
  { service, schema, jobsSchema, folder }: MigrationCommandOptions,
): Promise<boolean> {
  const { DATABASE_URL: url, LOG_LEVEL } = readSettings(migrationSettings)
  const logger = createLogger({ service: `${service}-migrate`, level: LOG_LEVEL })
  const options = { url, schema, folder, logger }
  try {
    if (command === undefined || command === 'up') await migrate(options)
    else if (command === 'down') await migrateDown(options)
    else if (command === 'status') await printStatus(options)
    else throw new Error(`Unknown command ${command}: must be up, down or status`)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    logger.fatal({ err: error.cause }, error.message)
    return false
  }
  if (command === undefined || command === 'up') {
    await runMigrations({ connectionString: url, schema: jobsSchema, logger: toWorkerLogger(logger) })
  }
  return true
}

async function printStatus(options: MigrationOptions): Promise<void> {
  for (const { name, state, appliedAt } of await migrationStatus(options)) {
    console.log(
      [options.schema.padEnd(6), state.padEnd(8), (appliedAt?.toISOString() ?? '').padEnd(25), name].join(' '),
    )
  }
}
