import { type Kysely, sql } from 'kysely'
import type { AccountChange } from '#proto/user/v1/account.ts'
import type { Tables } from '../tables.ts'

/**
 * Account changes that were set aside. A change contains the whole state of an account, so a later change of the same
 * user supersedes the earlier ones.
 */
export interface FailedAccountChanges {
  /** Adds a change, or counts another failure of it. @param attempts number of failures to add. */
  put(change: FailedAccountChange, error: unknown, attempts: number): Promise<void>
  /** Lists all changes, ordered by sequence. */
  list(): Promise<FailedAccountChange[]>
  /**
   * Locks the row until the end of the transaction, which applies the change.
   * @returns false if the change has been applied or superseded.
   */
  remove(sequence: bigint): Promise<boolean>
  /** Removes the changes of a user before `sequence`, which supersedes them. */
  removeSuperseded(userId: string, sequence: bigint): Promise<void>
}

export type FailedAccountChange = Pick<AccountChange, 'sequence' | 'userId' | 'role' | 'closed' | 'erased'>

const MAX_ERROR_LENGTH = 500

/** @param db the database or a transaction. */
export function createFailedAccountChanges(db: Kysely<Tables>): FailedAccountChanges {
  return {
    async put({ sequence, userId, role, closed, erased }, error, attempts) {
      const text = String(error).slice(0, MAX_ERROR_LENGTH)
      await sql`
        insert into failed_account_changes (sequence, user_id, role, closed, erased, error, attempts)
        values (${sequence}, ${userId}, ${role}, ${closed}, ${erased}, ${text}, ${attempts})
        on conflict (sequence) do update set
          error = excluded.error,
          attempts = failed_account_changes.attempts + excluded.attempts,
          failed_at = clock_timestamp()`.execute(db)
    },
    list: () =>
      db
        .selectFrom('failed_account_changes')
        .select(['sequence', 'user_id as userId', 'role', 'closed', 'erased'])
        .orderBy('sequence')
        .execute(),
    async remove(sequence) {
      const { numDeletedRows } = await db
        .deleteFrom('failed_account_changes')
        .where('sequence', '=', sequence)
        .executeTakeFirst()
      return numDeletedRows === 1n
    },
    async removeSuperseded(userId, sequence) {
      await db
        .deleteFrom('failed_account_changes')
        .where('user_id', '=', userId)
        .where('sequence', '<', sequence)
        .execute()
    },
  }
}
