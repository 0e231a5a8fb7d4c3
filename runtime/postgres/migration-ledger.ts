/** The record of a schema's applied migrations: Kysely's table, and a table with the checksum of each applied file. */
import { type Kysely, sql } from 'kysely'
import type { MigrationFile } from './migration-files.ts'

/** Names of the tables of the record, including the lock table of Kysely. */
export const LEDGER_TABLES = ['kysely_migration', 'kysely_migration_lock', 'migration_checksums'] as const

/**
 * - `edited`: the file has changed since it was applied.
 * - `missing`: applied, but the file does not exist.
 * - `late`: not applied, although a migration with a later timestamp is.
 */
export type MigrationState = 'applied' | 'pending' | 'edited' | 'missing' | 'late'

export interface MigrationStatus {
  readonly name: string
  readonly state: MigrationState
  readonly appliedAt: Date | undefined
}

interface LedgerRow {
  name: string
  timestamp: string
  /** Null for migrations that were applied before checksums were recorded. */
  checksum: string | null
}

/** Returns the status of each migration, ordered by name. Without the tables, all are pending. */
export async function readStatus(
  db: Kysely<unknown>,
  schema: string,
  files: readonly MigrationFile[],
): Promise<MigrationStatus[]> {
  const rows = await readRows(db, schema)
  const checksums = new Map(files.map(file => [file.name, file.checksum]))
  const applied = new Map(rows.map(row => [row.name, row]))
  const lastApplied = [...applied.keys()].sort().at(-1) ?? ''
  return [...new Set([...checksums.keys(), ...applied.keys()])].sort().map(name => {
    const row = applied.get(name)
    const checksum = checksums.get(name)
    const appliedAt = row && new Date(row.timestamp)
    if (row === undefined) return { name, state: name < lastApplied ? 'late' : 'pending', appliedAt }
    if (checksum === undefined) return { name, state: 'missing', appliedAt }
    return { name, state: row.checksum === null || row.checksum === checksum ? 'applied' : 'edited', appliedAt }
  })
}

async function readRows(db: Kysely<unknown>, schema: string): Promise<LedgerRow[]> {
  const { rows: found } = await sql<{ applied: boolean; checksums: boolean }>`
    select to_regclass(${`${schema}.kysely_migration`}) is not null as applied,
      to_regclass(${`${schema}.migration_checksums`}) is not null as checksums`.execute(db)
  if (found[0]?.applied !== true) return []
  const checksum = found[0].checksums
    ? sql`(select checksum from ${sql.table(`${schema}.migration_checksums`)} c where c.name = m.name)`
    : sql`null`
  const { rows } = await sql<LedgerRow>`
    select name, timestamp, ${checksum} as checksum from ${sql.table(`${schema}.kysely_migration`)} m`.execute(db)
  return rows
}

/**
 * Creates the table of checksums if it does not exist. Migrations that were applied before get the checksum of their
 * current file.
 */
export async function ensureChecksums(
  db: Kysely<unknown>,
  schema: string,
  files: readonly MigrationFile[],
): Promise<void> {
  await sql`
    create table if not exists ${checksumsOf(schema)} (name text primary key, checksum text not null)`.execute(db)
  const applied = new Set((await readRows(db, schema)).filter(row => row.checksum === null).map(row => row.name))
  for (const file of files) if (applied.has(file.name)) await recordChecksum(db, schema, file)
}

/** Records the checksum of an applied file. Replaces one left by an interrupted run. */
export async function recordChecksum(db: Kysely<unknown>, schema: string, file: MigrationFile): Promise<void> {
  await sql`
    insert into ${checksumsOf(schema)} values (${file.name}, ${file.checksum})
    on conflict (name) do update set checksum = excluded.checksum`.execute(db)
}

/** Removes the checksum of a reverted migration. */
export async function deleteChecksum(db: Kysely<unknown>, schema: string, name: string): Promise<void> {
  await sql`delete from ${checksumsOf(schema)} where name = ${name}`.execute(db)
}

const checksumsOf = (schema: string) => sql.table(`${schema}.migration_checksums`)
