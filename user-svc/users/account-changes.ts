/** The outbox: changes of accounts that auth-svc follows, in commit order. Triggers write it (see migrations/). */
import { type Kysely, type Selectable, sql } from 'kysely'
import type { AccountChangesTable, Tables } from '../tables.ts'

export type AccountChangeRow = Selectable<AccountChangesTable>

/** The read side of the outbox. */
export interface AccountChanges {
  /**
   * Streams the changes after `sequence` in order, then new ones as they are committed, until `signal` aborts.
   * @throws errors of PostgreSQL; resume after the sequence of the last change received.
   */
  follow(sequence: bigint, signal: AbortSignal): AsyncGenerator<AccountChangeRow, void, void>
}

export interface AccountChangesOptions {
  /** Poll interval, in milliseconds. Default 200. Part of the time until a role change takes effect at all gateways. */
  pollMs?: number
}

const BATCH = 500

/** @param db connections are used during a poll only, not between polls. */
export function createAccountChanges(db: Kysely<Tables>, { pollMs = 200 }: AccountChangesOptions = {}): AccountChanges {
  return {
    async *follow(sequence, signal) {
      let cursor = sequence
      while (!signal.aborted) {
        const changes = await db
          .selectFrom('account_changes')
          .selectAll()
          .where('sequence', '>', cursor)
          .orderBy('sequence')
          .limit(BATCH)
          .execute()
        yield* changes
        cursor = changes.at(-1)?.sequence ?? cursor
        if (changes.length < BATCH) await sleep(pollMs, signal)
      }
    },
  }
}

/** Serializes changes of roles and deactivations until the transaction ends. Lock before reading the rows involved. */
export async function lockAccountChanges(transaction: Kysely<Tables>): Promise<void> {
  await sql`select lock_account_changes()`.execute(transaction)
}

/** Also resolves if `signal` aborts. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
  })
}
