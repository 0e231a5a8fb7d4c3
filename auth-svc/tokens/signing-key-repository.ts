import { type Kysely, type Selectable, sql } from 'kysely'
import type { SigningKeysTable, Tables } from '../tables.ts'

/** A stored signing key; its private key is encrypted. */
export type SigningKeyRow = Selectable<SigningKeysTable>

/** Signing keys in PostgreSQL. Every method rejects with the error of PostgreSQL if a statement fails. */
export interface SigningKeyRepository {
  /** Lists all keys, ordered by `activates_at`. */
  list(): Promise<SigningKeyRow[]>
  /** Reads the clock of PostgreSQL, which schedules the keys for all processes. */
  now(): Promise<Date>
  /** Inserts a key. @throws if a key with the same `kid` exists. */
  insert(key: SigningKeyRow): Promise<void>
  /** Deletes a key. Does nothing if it does not exist. */
  delete(kid: string): Promise<void>
}

/** @param db the database, or the transaction that holds the rotation lock (`withRotationLock`). */
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
 * Runs `work` in a transaction that holds an advisory lock, so that one process at a time changes the signing keys.
 * PostgreSQL releases the lock at the end of the transaction, also if the process crashes.
 *
 * @param options.wait if another process holds the lock: true waits for it, false returns undefined without running
 *   `work`.
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
