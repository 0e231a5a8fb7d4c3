/**
 * What is past its retention, and its deletion for good: a batch at a time, each a statement of its own that passes by
 * what others have locked. A number that is less than the batch says that nothing is left.
 */
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Tables } from '../tables.ts'

export interface RetentionRepository {
  /** Comments that were deleted by then. */
  deleteComments(before: Date): Promise<number>
  /** Comments, by whomever, on documents that were deleted by then: a document takes the rest along. */
  deleteCommentsOnDocuments(before: Date): Promise<number>
  /** Documents that were deleted by then, their grants with them. */
  deleteDocuments(before: Date): Promise<number>
  /** Users who were closed by then, and are not erased. */
  listClosed(before: Date): Promise<string[]>
  /** Users who were erased by then; those whom the retention erased have waited already. */
  listErased(before: Date): Promise<string[]>
  deleteCommentsBy(userId: string): Promise<number>
  deleteCommentsOnDocumentsOf(userId: string): Promise<number>
  deleteDocumentsOf(userId: string): Promise<number>
  /** The user, of whom no document and no comment is left, and the receipt says so. */
  purge(userId: string): Promise<void>
}

export const RETENTION_BATCH = 500

export function createRetentionRepository(db: Kysely<Tables>): RetentionRepository {
  /** An array, since a subquery with a limit may be run more than once in one statement. */
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
    async listClosed(before) {
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
