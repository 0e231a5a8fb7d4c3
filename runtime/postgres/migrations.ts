/**
 * How a service's schema is brought up to date, and back.
 *
 * - One runner at a time in a database, by an advisory lock for the whole run. It is asked for again and again rather than
 *   waited for in PostgreSQL: `create index concurrently` waits for every statement that began before it, and would wait
 *   for those that wait for its runner.
 * - Each migration is a transaction: one that fails leaves nothing of itself, and those before it stay.
 * - The order is that of the names, in every database alike. A file that was applied stays as it was and where it was; one
 *   that comes before what was applied is refused, and takes a later timestamp.
 * - A statement waits for a lock no longer than `lockTimeoutMs`, since everybody else who wants the table waits behind it.
 *   The whole migration is then tried again, after a pause in which they pass.
 *
 * The connection must be PostgreSQL's own: a pooler in transaction mode keeps no lock.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'
import type { Logger } from '../observability/logger.ts'
import { type MigrationFile, type MigrationModule, readMigrationFiles } from './migration-files.ts'
import { forgetChecksum, type MigrationStatus, openChecksums, readStatus, recordChecksum } from './migration-ledger.ts'

export interface MigrationOptions {
  url: string
  /** The service's own, which is there. */
  schema: string
  /** Of the migrations. */
  folder: string
  logger: Logger
  /** Milliseconds that a statement of a migration waits for a lock. */
  lockTimeoutMs?: number
  /** How often a migration is tried that meets locks. The pauses grow up to ten seconds: ten take about a minute. */
  attempts?: number
}

/**
 * Applies what is pending.
 * @throws naming the migration that failed, or that was edited, is missing, or comes too late; nothing is applied then.
 */
export async function migrate(options: MigrationOptions): Promise<void> {
  await runAlone(options, async run => {
    for (const { name } of (await run.check()).filter(({ state }) => state === 'pending')) await run.step(name, 'up')
  })
}

/**
 * Takes back the last migration that was applied.
 * @throws as `migrate` does, and when there is none.
 */
export async function migrateDown(options: MigrationOptions): Promise<void> {
  await runAlone(options, async run => {
    const last = (await run.check()).findLast(({ state }) => state === 'applied')
    if (last === undefined)
      throw new Error(`No migration of ${options.schema} is applied: there is nothing to take back`)
    await run.step(last.name, 'down')
  })
}

/** Of what is applied and what there is, in the order of names. Changes nothing, and waits for nobody. */
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
const LONGEST_PAUSE_MS = 10_000

async function runAlone(options: MigrationOptions, work: (run: Run) => Promise<void>): Promise<void> {
  const { schema, logger, lockTimeoutMs = 2000 } = options
  await using db = connect(options)
  await takeLock(db, logger)
  const files = await readMigrationFiles(options.folder)
  await openChecksums(db, schema, files)
  const migrator = new Migrator({
    db,
    migrationTableSchema: schema,
    provider: {
      getMigrations: async () => Object.fromEntries(files.map(file => [file.name, recorded(file, schema)])),
    },
  })
  await work({
    async check() {
      const statuses = await readStatus(db, schema, files)
      refuseFaults(schema, statuses)
      return statuses
    },
    async step(name, direction) {
      const module = await files.find(file => file.name === name)?.load()
      const disableTransactions = module?.transaction === false
      await withRetries({ ...options, name }, async () => {
        // Anew each time: a migration outside of a transaction may have changed it.
        await sql`select set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, false)`.execute(db)
        const { error } = await (direction === 'up'
          ? migrator.migrateUp({ disableTransactions })
          : migrator.migrateDown({ disableTransactions }))
        if (error !== undefined) throw error
      })
      logger.info({ migration: name, schema }, direction === 'up' ? 'migrated' : 'taken back')
    },
  })
}

/** One connection, never another: the lock is the connection's. */
function connect({ url, schema, logger }: MigrationOptions): Kysely<unknown> {
  // How long a statement may take is for the migration to say; a role's own setting is for the service.
  const client = new pg.Client({
    connectionString: url,
    options: `-c search_path=${schema} -c statement_timeout=0`,
    connectionTimeoutMillis: 10_000,
  })
  client.on('error', error => logger.warn({ err: error }, 'the connection of the migrations was lost'))
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

async function takeLock(db: Kysely<unknown>, logger: Logger): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const { rows } = await sql<{ taken: boolean }>`select pg_try_advisory_lock(${LOCK}) as taken`.execute(db)
    if (rows[0]?.taken === true) return
    if (tries === 0) logger.info('waiting for other migrations of this database')
    await sleep(LOCK_POLL_MS)
  }
}

function refuseFaults(schema: string, statuses: readonly MigrationStatus[]): void {
  const faults = statuses.flatMap(({ name, state }) => (state in FAULTS ? [`${name} ${FAULTS[state as Fault]}`] : []))
  if (faults.length > 0) throw new Error(`The migrations of ${schema} are refused: ${faults.join('; ')}`)
}

type Fault = 'edited' | 'missing' | 'late'
const FAULTS: Record<Fault, string> = {
  edited: 'is not the file that was applied: put it back, and write the change as a migration of its own',
  missing: 'was applied, but its file is gone: put it back',
  late: 'comes before one that was applied: give it a later timestamp',
}

/** With its checksum written in the transaction that applies it. */
function recorded(file: MigrationFile, schema: string): MigrationModule {
  return {
    async up(db) {
      const { up, transaction } = await file.load()
      await up(db)
      if (transaction === false) await refuseInvalidIndexes(db, schema)
      await recordChecksum(db, schema, file)
    },
    async down(db) {
      const { down } = await file.load()
      await down(db)
      await forgetChecksum(db, schema, file.name)
    },
  }
}

/** What `create index concurrently` leaves when it breaks off, and `if not exists` then takes for the index. */
async function refuseInvalidIndexes(db: Kysely<unknown>, schema: string): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select relname as name from pg_index join pg_class on pg_class.oid = indexrelid
    where not indisvalid and relnamespace = ${schema}::regnamespace order by relname`.execute(db)
  const names = rows.map(row => row.name).join(', ')
  if (rows.length > 0) throw new Error(`It leaves indexes that are not valid, to be dropped first: ${names}`)
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
        throw new Error(`The migration ${name} of ${schema} failed: ${message}`, { cause: error })
      }
      const pauseMs = Math.min(LONGEST_PAUSE_MS, 250 * 2 ** attempt) * (0.5 + Math.random() / 2)
      logger.warn({ migration: name, schema, attempt, pauseMs: Math.round(pauseMs) }, 'a lock was not to be had; again')
      await sleep(pauseMs)
    }
  }
}
