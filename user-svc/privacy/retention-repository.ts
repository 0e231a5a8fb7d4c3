/**
 * Finds and deletes rows past retention. Each call deletes one batch in its own statement and skips rows that are
 * locked by other transactions.
 */
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Tables } from '../tables.ts'

/**
 * The `delete…` methods delete at most `RETENTION_BATCH` rows and return their number; fewer means that no unlocked row
 * is left.
 */
export interface RetentionRepository {
  deleteComments(before: Date): Promise<number>
  /** Whether deleted or not, on documents deleted before the given time. */
  deleteCommentsOnDocuments(before: Date): Promise<number>
  /** Also deletes their grants (by cascade). */
  deleteDocuments(before: Date): Promise<number>
  /**
   * Users deactivated before the given time and not erased, oldest first; at most `RETENTION_BATCH`, as `listErased`.
   */
  listDeactivated(before: Date): Promise<string[]>
  /**
   * Users to purge, oldest first: erased before the given time, or erased by the retention job, which has waited
   * already.
   */
  listErased(before: Date): Promise<string[]>
  deleteCommentsBy(userId: string): Promise<number>
  deleteCommentsOnDocumentsOf(userId: string): Promise<number>
  deleteDocumentsOf(userId: string): Promise<number>
  /** Deletes the row of a user without documents and comments, and completes the receipt, in one transaction. */
  purge(userId: string): Promise<void>
}

/** Rows or users per statement. */
export const RETENTION_BATCH = 500

/** @param db opens a transaction for each purge. */
export function createRetentionRepository(db: Kysely<Tables>): RetentionRepository {
  // `any(array(…))`: PostgreSQL may execute a plain subquery with a limit more than once per statement.
  async function deleteBatch(table: 'comments_all' | 'documents_all', due: RawBuilder<unknown>): Promise<number> {
    const { numAffectedRows = 0n } = await sql`
      delete from ${sql.table(table)} where id = any(array(
        select id from ${sql.table(table)} as due where ${due} limit ${RETENTION_BATCH} for update skip locked
      ))`.execute(db)
    return Number(numAffectedRows)
  }

  return {
    deleteComments: before => deleteBatch('comments_all', sql`deleted_at < ${before}`),
    deleteCommentsOnDocuments: before =>
      deleteBatch('comments_all', sql`document_id in (select id from documents_all where deleted_at < ${before})`),
    deleteDocuments: before => deleteBatch('documents_all', sql`deleted_at < ${before}`),
    async listDeactivated(before) {
      const users = await db
        .selectFrom('users_all')
        .select('id')
        .where('deleted_at', '<', before)
        .where('erased_at', 'is', null)
        .orderBy('deleted_at')
        .limit(RETENTION_BATCH)
        .execute()
      return users.map(({ id }) => id)
    },
    async listErased(before) {
      const receipts = await db
        .selectFrom('erasures')
        .select('user_id')
        .where('purged_at', 'is', null)
        .where(row => row.or([row('requested_by', 'is', null), row('requested_at', '<', before)]))
        .orderBy('requested_at')
        .limit(RETENTION_BATCH)
        .execute()
      return receipts.map(receipt => receipt.user_id)
    },
    deleteCommentsBy: userId => deleteBatch('comments_all', sql`author_id = ${userId}`),
    deleteCommentsOnDocumentsOf: userId =>
      deleteBatch('comments_all', sql`document_id in (select id from documents_all where owner_id = ${userId})`),
    deleteDocumentsOf: userId => deleteBatch('documents_all', sql`owner_id = ${userId}`),
    purge: userId =>
      db.transaction().execute(async transaction => {
        await transaction.deleteFrom('users_all').where('id', '=', userId).execute()
        await transaction
          .updateTable('erasures')
          .set({ purged_at: sql<Date>`clock_timestamp()` })
          .where('user_id', '=', userId)
          .execute()
      }),
  }
}
