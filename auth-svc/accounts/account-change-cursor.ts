import { type Kysely, sql } from 'kysely'
import type { Tables } from '../tables.ts'

/** The sequence number of the last account change of user-svc that was applied here: one row, one for all replicas. */
export interface AccountChangeCursor {
  read(): Promise<bigint>
  /**
   * Locks the row until the end of the transaction, which applies the change: each change is applied once.
   * @returns false if the cursor is already at or past `sequence`.
   */
  advance(sequence: bigint): Promise<boolean>
}

/** @param db the database or a transaction. */
export function createAccountChangeCursor(db: Kysely<Tables>): AccountChangeCursor {
  return {
    async read() {
      return (await db.selectFrom('account_change_cursor').select('sequence').executeTakeFirstOrThrow()).sequence
    },
    async advance(sequence) {
      const { numUpdatedRows } = await db
        .updateTable('account_change_cursor')
        .set({ sequence: sql`${sequence}` })
        .where('sequence', '<', sequence)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
  }
}
