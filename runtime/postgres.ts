import { promises as fs } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import pg from 'pg'
import type { Logger } from './logger.ts'

export interface DatabaseOptions {
  url: string
  /** The service's own schema: the only one on its search path. */
  schema: string
  logger: Logger
  /** Connections at most; cores x 2 + 1 unless given, beyond which PostgreSQL gains nothing. */
  poolSize?: number | undefined
  /** Milliseconds that one statement may take. */
  statementTimeoutMs?: number
}

export interface Database<Tables> {
  readonly db: Kysely<Tables>
  /** Resolves when a statement went through and back. */
  ping(): Promise<void>
  close(): Promise<void>
}

// A timestamp keeps its microseconds and a bigint its digits unless it is asked for as something smaller.
const INT8 = 20
const types = new pg.TypeOverrides()
types.setTypeParser(INT8, text => BigInt(text))

export function openDatabase<Tables>(options: DatabaseOptions): Database<Tables> {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize ?? availableParallelism() * 2 + 1,
    types,
    connectionTimeoutMillis: 2000,
    statement_timeout: options.statementTimeoutMs ?? 2500,
    query_timeout: (options.statementTimeoutMs ?? 2500) + 250,
    options: `-c search_path=${options.schema}`,
  })
  pool.on('error', error => options.logger.warn({ err: error }, 'an idle database connection was lost'))
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  return {
    db,
    ping: async () => {
      await sql`select 1`.execute(db)
    },
    close: () => db.destroy(),
  }
}

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
