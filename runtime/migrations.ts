/** How a service's schema is brought up to date. */
import { promises as fs } from 'node:fs'
import path from 'node:path'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import type { Logger } from './logger.ts'
import { openDatabase } from './postgres.ts'

/**
 * Brings the schema up to date with the files of `folder`. Safe to run from several processes at once: Kysely holds a
 * lock, and each run is one transaction.
 * @throws the error of the migration that failed, naming it.
 */
export async function migrate(options: { url: string; schema: string; folder: string; logger: Logger }): Promise<void> {
  const { db, close } = openDatabase<unknown>({ ...options, poolSize: 1, statementTimeoutMs: 60_000 })
  try {
    const migrator = new Migrator({
      db,
      migrationTableSchema: options.schema,
      provider: new FileMigrationProvider({ fs, path, migrationFolder: options.folder }),
    })
    const { error, results = [] } = await migrator.migrateToLatest()
    for (const { migrationName, status } of results)
      options.logger.info({ migration: migrationName, status }, 'migrated')
    if (error !== undefined) {
      const failed = results.find(result => result.status === 'Error')
      throw new Error(`Migration ${failed?.migrationName ?? 'set-up'} of ${options.schema} failed`, { cause: error })
    }
  } finally {
    await close()
  }
}
