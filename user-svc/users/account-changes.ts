/**
 * The outbox: what auth-svc must learn of accounts, in the order of commit. Triggers fill it (see migrations/).
 */
import { type Kysely, type Selectable, sql } from 'kysely'
import type { AccountChangesTable, Tables } from '../tables.ts'

export type AccountChangeRow = Selectable<AccountChangesTable>

export interface AccountChanges {
  /** Changes after `sequence`, and then those that come, until the signal. @throws as the database does. */
  follow(sequence: bigint, signal: AbortSignal): AsyncGenerator<AccountChangeRow, void, void>
}

const BATCH = 500

/** @param pollMs between two looks for changes: it adds to the time in which a role change reaches every gateway. */
export function createAccountChanges(db: Kysely<Tables>, { pollMs = 200 } = {}): AccountChanges {
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
        if (changes.length < BATCH) await pause(pollMs, signal)
      }
    },
  }
}

/**
 * Makes the rest of the transaction the only one that changes a role or closes an account. To be called before it reads
 * what it decides by.
 */
export async function lockAccountChanges(transaction: Kysely<Tables>): Promise<void> {
  await sql`select lock_account_changes()`.execute(transaction)
}

/** Ends early, not with an error, at the signal. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
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
