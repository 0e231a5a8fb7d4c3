import { type Kysely, type Selectable, sql } from 'kysely'
import type { SigningKeysTable, Tables } from '../tables.ts'

export type SigningKeyRow = Selectable<SigningKeysTable>

export interface SigningKeyRepository {
  /** The keys in the order in which they sign. */
  list(): Promise<SigningKeyRow[]>
  /** PostgreSQL's clock, by which keys come and go. */
  now(): Promise<Date>
  insert(key: SigningKeyRow): Promise<void>
  delete(kid: string): Promise<void>
}

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
 * Does the work as the only process that does, in a transaction; the lock goes with it, whatever becomes of the process.
 * @param wait whether to wait for another that is at it; undefined is returned otherwise.
 */
export function asKeyLeader<R>(
  db: Kysely<Tables>,
  { wait }: { wait: boolean },
  work: (keys: SigningKeyRepository) => Promise<R>,
): Promise<R | undefined> {
  const name = sql`hashtextextended('auth.signing_keys', 0)`
  return db.transaction().execute(async transaction => {
    if (wait) await sql`select pg_advisory_xact_lock(${name})`.execute(transaction)
    else {
      const trial = sql<{ locked: boolean }>`select pg_try_advisory_xact_lock(${name}) as locked`
      const { rows } = await trial.execute(transaction)
      if (rows[0]?.locked !== true) return undefined
    }
    return work(createSigningKeyRepository(transaction))
  })
}
