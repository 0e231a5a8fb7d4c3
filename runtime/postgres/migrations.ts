/**
 * Applies and reverts the migrations of a service's schema.
 *
 * - One runner per database at a time, by a session-level advisory lock. The lock is polled: a session that waits for
 *   it in PostgreSQL would deadlock with `create index concurrently`, which waits for all statements that started
 *   earlier.
 * - Each migration is a transaction. A failed migration is rolled back; those before it stay applied.
 * - Migrations are applied in the order of their names, the same in every database. A file that was applied must not be
 *   changed or removed, and a new file must have a later timestamp than all applied ones.
 * - A statement waits for a table lock for at most `lockTimeoutMs`, because other sessions queue behind it. The
 *   migration is then rolled back and retried after a pause.
 *
 * Connect to PostgreSQL directly: a connection pooler in transaction mode does not preserve session-level locks.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'
import type { Logger } from '../observability/logger.ts'
import { type MigrationFile, type MigrationModule, readMigrationFiles } from './migration-files.ts'
import {
  deleteChecksum,
  ensureChecksums,
  type MigrationStatus,
  readStatus,
  recordChecksum,
} from './migration-ledger.ts'

export interface MigrationOptions {
  url: string
  /** Schema of the service. Must exist. */
  schema: string
  /** Folder of the migration files. */
  folder: string
  logger: Logger
  /** Maximum time that a statement waits for a lock, in milliseconds. Default 2,000. */
  lockTimeoutMs?: number
  /**
   * Maximum number of attempts for a migration that fails because of a lock. Default 10, which takes about a minute:
   * the pause between attempts doubles up to 10 s.
   */
  attempts?: number
}

/**
 * Applies all pending migrations.
 * @throws Error that names the failed migration; or, before any is applied, all edited, missing and late ones.
 */
export async function migrate(options: MigrationOptions): Promise<void> {
  await runLocked(options, async run => {
    for (const { name } of (await run.check()).filter(({ state }) => state === 'pending')) await run.step(name, 'up')
  })
}

/** Reverts the latest applied migration. @throws Error as `migrate` does, and if no migration is applied. */
export async function migrateDown(options: MigrationOptions): Promise<void> {
  await runLocked(options, async run => {
    const last = (await run.check()).findLast(({ state }) => state === 'applied')
    if (last === undefined) throw new Error(`No migration of ${options.schema} is applied: nothing to revert`)
    await run.step(last.name, 'down')
  })
}

/** Returns the status of each migration, ordered by name. Changes nothing and takes no lock. */
export async function migrationStatus(options: MigrationOptions): Promise<MigrationStatus[]> {
  await using db = connect(options)
  return await readStatus(db, options.schema, await readMigrationFiles(options.folder))
}

interface Run {
  check(): Promise<MigrationStatus[]>
  step(name: string, direction: 'up' | 'down'): Promise<void>
}

const LOCK = sql`hashtextextended('gatehouse.migrations', 0)`
const LOCK_POLL_MS = 100
const MAX_PAUSE_MS = 10_000

/** Runs `work` while holding the lock of the database. */
async function runLocked(options: MigrationOptions, work: (run: Run) => Promise<void>): Promise<void> {
  const { schema, logger, lockTimeoutMs = 2000 } = options
  await using db = connect(options)
  await acquireLock(db, logger)
  const files = await readMigrationFiles(options.folder)
  await ensureChecksums(db, schema, files)
  const migrator = new Migrator({
    db,
    migrationTableSchema: schema,
    provider: {
      getMigrations: async () => Object.fromEntries(files.map(file => [file.name, withChecksum(file, schema)])),
    },
  })
  await work({
    async check() {
      const statuses = await readStatus(db, schema, files)
      assertApplicable(schema, statuses)
      return statuses
    },
    async step(name, direction) {
      const module = await files.find(file => file.name === name)?.load()
      const disableTransactions = module?.transaction === false
      await withRetries({ ...options, name }, async () => {
        // Set before each attempt, because a migration outside of a transaction may have changed it.
        await sql`select set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, false)`.execute(db)
        const { error } = await (direction === 'up'
          ? migrator.migrateUp({ disableTransactions })
          : migrator.migrateDown({ disableTransactions }))
        if (error !== undefined) throw error
      })
      logger.info({ migration: name, schema }, direction === 'up' ? 'migration applied' : 'migration reverted')
    },
  })
}

/** Opens a single connection, because the advisory lock belongs to the connection. */
function connect({ url, schema, logger }: MigrationOptions): Kysely<unknown> {
  // Overrides the statement timeout of the role, which applies to the service; a migration can set its own.
  const client = new pg.Client({
    connectionString: url,
    options: `-c search_path=${schema} -c statement_timeout=0`,
    connectionTimeoutMillis: 10_000,
  })
  client.on('error', error => logger.warn({ err: error }, 'database connection of the migrations lost'))
  let connected: Promise<unknown> | undefined
  const pool = {
    async connect() {
      connected ??= client.connect()
      await connected
      return Object.assign(client, { release: () => {} })
    },
    end: () => client.end(),
    options: {},
  }
  return new Kysely({ dialect: new PostgresDialect({ pool }) })
}

async function acquireLock(db: Kysely<unknown>, logger: Logger): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const { rows } = await sql<{ acquired: boolean }>`select pg_try_advisory_lock(${LOCK}) as acquired`.execute(db)
    if (rows[0]?.acquired === true) return
    if (attempt === 0) logger.info('waiting for another migration of this database')
    await sleep(LOCK_POLL_MS)
  }
}

function assertApplicable(schema: string, statuses: readonly MigrationStatus[]): void {
  const problems = statuses.flatMap(({ name, state }) =>
    state in PROBLEMS ? [`${name} ${PROBLEMS[state as ProblemState]}`] : [],
  )
  if (problems.length > 0) throw new Error(`Cannot migrate ${schema}: ${problems.join('; ')}`)
}

type ProblemState = 'edited' | 'missing' | 'late'
const PROBLEMS: Record<ProblemState, string> = {
  edited: 'was edited after it was applied: restore the file and add a new migration',
  missing: 'was applied, but the file is missing: restore it',
  late: 'is older than an applied migration: rename it with a later timestamp',
}

/** Records or deletes the checksum in the transaction of the migration. */
function withChecksum(file: MigrationFile, schema: string): MigrationModule {
  return {
    async up(db) {
      const { up, transaction } = await file.load()
      await up(db)
      if (transaction === false) await assertNoInvalidIndexes(db, schema)
      await recordChecksum(db, schema, file)
    },
    async down(db) {
      const { down } = await file.load()
      await down(db)
      await deleteChecksum(db, schema, file.name)
    },
  }
}

/** A failed `create index concurrently` leaves an invalid index, which a repeated `if not exists` would accept. */
async function assertNoInvalidIndexes(db: Kysely<unknown>, schema: string): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_index join pg_class on pg_class.oid = indexrelid
    where not indisvalid and relnamespace = ${schema}::regnamespace order by relname`.execute(db)
  const names = rows.map(row => row.name).join(', ')
  if (rows.length > 0) throw new Error(`invalid indexes exist: ${names}. Drop them and retry`)
}

// SQLSTATE: lock_not_available, deadlock_detected.
const LOCKED_STATES = ['55P03', '40P01']

async function withRetries(options: MigrationOptions & { name: string }, work: () => Promise<void>): Promise<void> {
  const { schema, name, logger, attempts = 10 } = options
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      const isLocked = error instanceof pg.DatabaseError && LOCKED_STATES.includes(error.code ?? '')
      if (!isLocked || attempt >= attempts) {
        const message = error instanceof Error ? error.message : String(error)
        throw new Error(`Migration ${name} of ${schema} failed: ${message}`, { cause: error })
      }
      const pauseMs = Math.min(MAX_PAUSE_MS, 250 * 2 ** attempt) * (0.5 + Math.random() / 2)
      logger.warn(
        { migration: name, schema, attempt, pauseMs: Math.round(pauseMs) },
        'migration could not acquire a lock; retrying',
      )
      await sleep(pauseMs)
    }
  }
}
