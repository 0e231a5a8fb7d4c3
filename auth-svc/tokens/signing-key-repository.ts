import { type Kysely, type Selectable, sql } from 'kysely'
import type { SigningKeysTable, Tables } from '../tables.ts'

/** The private key is encrypted. */
export type SigningKeyRow = Selectable<SigningKeysTable>

/** Signing keys in PostgreSQL. Every method rejects with the error of PostgreSQL if a statement fails. */
export interface SigningKeyRepository {
  /** By `activates_at`, ascending. */
  list(): Promise<SigningKeyRow[]>
  /** Reads the clock of PostgreSQL, which schedules the keys for all processes. */
  now(): Promise<Date>
  /** @throws if a key with the same `kid` exists. */
  insert(key: SigningKeyRow): Promise<void>
  delete(kid: string): Promise<void>
}

/** @param db the database or a transaction. */
export function createSigningKeyRepository(db: Kysely<Tables>): SigningKeyRepository {
  return {
    list: () => db.selectFrom('signing_keys').selectAll().orderBy('activates_at').execute(),
    async now() {
      const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db)
      return (rows[0] as { now: Date }).now
    },
    async insert(key) {
      await db.insertInto('signing_keys').values(key).execute()
    },
    async delete(kid) {
      await db.deleteFrom('signing_keys').where('kid', '=', kid).execute()
    },
  }
}

/**
 * Runs `work` in a transaction with an advisory lock: one process at a time changes the signing keys. PostgreSQL also
 * releases the lock if the process crashes.
 * @param options.wait false: returns undefined at once if another process holds the lock.
 */
export function withRotationLock<R>(
  db: Kysely<Tables>,
  { wait }: { wait: boolean },
  work: (keys: SigningKeyRepository) => Promise<R>,
): Promise<R | undefined> {
  const lockId = sql`hashtextextended('auth.signing_keys', 0)`
  return db.transaction().execute(async transaction => {
    if (wait) await sql`select pg_advisory_xact_lock(${lockId})`.execute(transaction)
    else {
      const tryLock = sql<{ locked: boolean }>`select pg_try_advisory_xact_lock(${lockId}) as locked`
      const { rows } = await tryLock.execute(transaction)
      if (rows[0]?.locked !== true) return undefined
    }
    return work(createSigningKeyRepository(transaction))
  })
}
