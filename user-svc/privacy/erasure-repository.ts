/** What is taken of a user who is erased, and the receipt for it. */
import { type Kysely, type Selectable, sql } from 'kysely'
import type { ErasuresTable, Tables } from '../tables.ts'

export type ErasureRow = Selectable<ErasuresTable>

export type ErasedCounts = Pick<ErasureRow, 'documents' | 'comments' | 'grants'>

export interface ErasureRepository {
  find(userId: string): Promise<ErasureRow | undefined>
  /**
   * Opens the receipt. Of several at once all but the first wait for it, and find it opened.
   * @returns false when there is one, or no such user.
   */
  open(userId: string, requestedBy: string | undefined): Promise<boolean>
  /**
   * Empties what the user wrote, and takes what the user was granted and granted to. The rows stay, hidden with their
   * closed owner, and get no mark of deletion, which for each document would write the owner's count: 10,000 are emptied
   * in 0.7 s, and were not marked in 2.7 s.
   */
  empty(userId: string): Promise<ErasedCounts>
  /**
   * Closes the account for good, without name, address and department.
   * @param closedBefore when it must have been closed; undefined is any account.
   * @returns whether there was one.
   */
  anonymise(userId: string, requestedBy: string | undefined, closedBefore: Date | undefined): Promise<boolean>
  complete(userId: string, counts: ErasedCounts): Promise<ErasureRow>
  /** @returns false when there is no receipt. */
  confirmIdentity(userId: string): Promise<boolean>
}

/** @param db the database or a transaction. */
export function createErasureRepository(db: Kysely<Tables>): ErasureRepository {
  const ofUser = (userId: string) => db.updateTable('erasures').where('user_id', '=', userId)

  return {
    find: userId => db.selectFrom('erasures').selectAll().where('user_id', '=', userId).executeTakeFirst(),
    async open(userId, requestedBy) {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('erasures')
        .columns(['user_id', 'requested_by'])
        .expression(row =>
          row
            .selectFrom('users_all')
            .select(['id', sql<string | null>`${requestedBy ?? null}::uuid`.as('requested_by')])
            .where('id', '=', userId),
        )
        .onConflict(conflict => conflict.doNothing())
        .executeTakeFirstOrThrow()
      return numInsertedOrUpdatedRows === 1n
    },
    async empty(userId) {
      const documents = await db
        .updateTable('documents_all')
        .set({ title: '', body: '', tags: sql<string[]>`'{}'::text[]`, visibility: 'private', department: '' })
        .where('owner_id', '=', userId)
        .where(sql<boolean>`(title, body, tags, department) is distinct from ('', '', '{}'::text[], '')`)
        .executeTakeFirstOrThrow()
      const comments = await db
        .updateTable('comments_all')
        .set({ body: '', sentiment: null })
        .where('author_id', '=', userId)
        .where('body', '<>', '')
        .executeTakeFirstOrThrow()
      const grants = await db
        .deleteFrom('document_grants')
        .where(row =>
          row.or([
            row('user_id', '=', userId),
            row('document_id', 'in', row.selectFrom('documents_all').select('id').where('owner_id', '=', userId)),
          ]),
        )
        .executeTakeFirstOrThrow()
      return {
        documents: Number(documents.numUpdatedRows),
        comments: Number(comments.numUpdatedRows),
        grants: Number(grants.numDeletedRows),
      }
    },
    async anonymise(userId, requestedBy, closedBefore) {
      const { numUpdatedRows } = await db
        .updateTable('users_all')
        .set({
          // RFC 2606: an address that never is one.
          email: sql<string>`id || '@erased.invalid'`,
          name: '',
          department: '',
          deleted_at: sql<Date>`coalesce(deleted_at, clock_timestamp())`,
          deleted_by: sql<string | null>`coalesce(deleted_by, ${requestedBy ?? null}::uuid)`,
          erased_at: sql<Date>`clock_timestamp()`,
        })
        .where('id', '=', userId)
        .$if(closedBefore !== undefined, query => query.where('deleted_at', '<', closedBefore as Date))
        .executeTakeFirstOrThrow()
      return numUpdatedRows === 1n
    },
    complete: (userId, counts) => ofUser(userId).set(counts).returningAll().executeTakeFirstOrThrow(),
    async confirmIdentity(userId) {
      const { numUpdatedRows } = await ofUser(userId)
        .set({ identity_erased_at: sql<Date>`coalesce(identity_erased_at, clock_timestamp())` })
        .executeTakeFirstOrThrow()
      return numUpdatedRows === 1n
    },
  }
}
