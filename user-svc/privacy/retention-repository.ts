/**
 * Finds and deletes rows past retention. Each call deletes one batch in its own statement. It skips rows that are locked
 * by other transactions and rows that have failed (retention-failures.ts).
 */
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { RetentionKind, Tables } from '../tables.ts'
import { isNotSkipped } from './retention-failures.ts'

/** Rows to delete. */
export interface DueRows {
  readonly kind: Exclude<RetentionKind, 'user'>
  /**
   * Deletes at most `RETENTION_BATCH` rows and returns their number; fewer means that no unlocked row is left. A row
   * that cannot be deleted fails the batch.
   */
  deleteBatch(): Promise<number>
  /** Lists the rows that the next batch would delete. */
  list(): Promise<string[]>
  /** Deletes one row. */
  delete(id: string): Promise<void>
}

export interface RetentionRepository {
  comments(before: Date): DueRows
  /** Whether deleted or not, on documents deleted before the given time. */
  commentsOnDocuments(before: Date): DueRows
  /** Their deletion also deletes their grants (by cascade). */
  documents(before: Date): DueRows
  /**
   * Users deactivated before the given time and not erased, oldest first; at most `RETENTION_BATCH`, as `listErased`.
   */
  listDeactivated(before: Date): Promise<string[]>
  /**
   * Users to purge, oldest first: erased before the given time, or erased by the retention job, which has waited
   * already.
   */
  listErased(before: Date): Promise<string[]>
  commentsBy(userId: string): DueRows
  commentsOnDocumentsOf(userId: string): DueRows
  documentsOf(userId: string): DueRows
  /** Deletes the row of a user without documents and comments, and completes the receipt, in one transaction. */
  purge(userId: string): Promise<void>
}

/** Rows or users per statement. */
export const RETENTION_BATCH = 500

/** @param db opens a transaction for each purge. */
export function createRetentionRepository(db: Kysely<Tables>): RetentionRepository {
  function dueRows(kind: DueRows['kind'], due: RawBuilder<unknown>): DueRows {
    const table = sql.table(kind === 'comment' ? 'comments_all' : 'documents_all')
    const batch = sql`
      select id from ${table} as due where ${due} and ${isNotSkipped(kind, sql`due.id`)}
      limit ${RETENTION_BATCH} for update skip locked`
    return {
      kind,
      async deleteBatch() {
        // `any(array(…))`: PostgreSQL may execute a plain subquery with a limit more than once per statement.
        const { numAffectedRows = 0n } = await sql`
          delete from ${table} where id = any(array(${batch}))`.execute(db)
        return Number(numAffectedRows)
      },
      async list() {
        const { rows } = await sql<{ id: string }>`${batch}`.execute(db)
        return rows.map(({ id }) => id)
      },
      async delete(id) {
        await sql`delete from ${table} where id = ${id}`.execute(db)
      },
    }
  }

  return {
    comments: before => dueRows('comment', sql`deleted_at < ${before}`),
    commentsOnDocuments: before =>
      dueRows('comment', sql`document_id in (select id from documents_all where deleted_at < ${before})`),
    documents: before => dueRows('document', sql`deleted_at < ${before}`),
    async listDeactivated(before) {
      const users = await db
        .selectFrom('users_all')
        .select('id')
        .where('deleted_at', '<', before)
        .where('erased_at', 'is', null)
        .where(isNotSkipped('user', sql`users_all.id`))
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
        .where(isNotSkipped('user', sql`erasures.user_id`))
        .orderBy('requested_at')
        .limit(RETENTION_BATCH)
        .execute()
      return receipts.map(receipt => receipt.user_id)
    },
    commentsBy: userId => dueRows('comment', sql`author_id = ${userId}`),
    commentsOnDocumentsOf: userId =>
      dueRows('comment', sql`document_id in (select id from documents_all where owner_id = ${userId})`),
    documentsOf: userId => dueRows('document', sql`owner_id = ${userId}`),
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
