/** What a service's `migrate.ts` does: `node user-svc/migrate.ts`, `… status`, `… down`. */
import { type MigrationOptions, migrate, migrateDown, migrationStatus } from './migrations.ts'

/** @returns whether it was done; the log says why not. */
export async function runMigrationCommand(command: string, options: MigrationOptions): Promise<boolean> {
  try {
    if (command === 'up') await migrate(options)
    else if (command === 'down') await migrateDown(options)
    else if (command === 'status') await printStatus(options)
    else throw new Error(`There is no command ${command}, only up, down and status`)
    return true
  } catch (error) {
    if (!(error instanceof Error)) throw error
    options.logger.fatal({ err: error.cause }, error.message)
    return false
  }
}

async function printStatus(options: MigrationOptions): Promise<void> {
  for (const { name, state, appliedAt } of await migrationStatus(options)) {
    console.log(
      [options.schema.padEnd(6), state.padEnd(8), (appliedAt?.toISOString() ?? '').padEnd(25), name].join(' '),
    )
  }
}
