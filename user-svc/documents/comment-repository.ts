import { type Kysely, type Selectable, sql } from 'kysely'
import { OLDEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { CommentsView, Tables } from '../tables.ts'
import { type Caller, isAllowed } from './access-rules.ts'

/** A visible comment; see `CommentRepository`. */
export type CommentRow = Selectable<CommentsView>

export interface NewComment {
  documentId: string
  body: string
  /** From -1 (negative) to 1 (positive). */
  sentiment?: number | undefined
}

/** Visible comments: neither the comment nor its document is deleted, and author and owner are active users. */
export interface CommentRepository {
  /** @returns undefined if the document does not exist or `author` may not comment on it. */
  insert(comment: NewComment, author: Caller): Promise<CommentRow | undefined>
  /** Oldest first. Does not check access to the document. */
  page(documentId: string, size: number, after: Position | undefined): Promise<Page<CommentRow>>
  /**
   * Requires a transaction, for the transaction-local setting that fills `deleted_by`.
   * @returns false if the comment does not exist, or `caller` is neither its author nor may moderate the document.
   */
  delete(documentId: string, id: string, caller: Caller): Promise<boolean>
  /** Does not check access to the document. */
  exists(documentId: string, id: string): Promise<boolean>
}

const COLUMNS = ['id', 'document_id', 'author_id', 'body', 'sentiment', 'created_at'] as const

/** @param db database or transaction. */
export function createCommentRepository(db: Kysely<Tables>): CommentRepository {
  return {
    insert: ({ documentId, body, sentiment = null }, author) =>
      db
        .insertInto('comments')
        .columns(['document_id', 'author_id', 'body', 'sentiment'])
        .expression(
          db
            .selectFrom('documents')
            .select([
              'documents.id',
              sql<string>`${author.userId}::uuid`.as('author_id'),
              sql<string>`${body}::text`.as('body'),
              sql<number | null>`${sentiment}::float8`.as('sentiment'),
            ])
            .where('documents.id', '=', documentId)
            .where(isAllowed('comment', author)),
        )
        .returning(COLUMNS)
        .executeTakeFirst(),
    page(documentId, size, after) {
      const query = db.selectFrom('comments').select(COLUMNS).where('document_id', '=', documentId)
      return readPage(query, OLDEST_FIRST, size, after)
    },
    async delete(documentId, id, caller) {
      await sql`select set_config('gatehouse.actor', ${caller.userId}, true)`.execute(db)
      const { numDeletedRows } = await db
        .deleteFrom('comments')
        .where('comments.id', '=', id)
        .where('comments.document_id', '=', documentId)
        .where(row =>
          row.or([
            row('comments.author_id', '=', caller.userId),
            row.exists(
              row
                .selectFrom('documents')
                .select('documents.id')
                .where('documents.id', '=', documentId)
                .where(isAllowed('moderate', caller)),
            ),
          ]),
        )
        .executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },
    async exists(documentId, id) {
      const query = db.selectFrom('comments').select('id').where('id', '=', id).where('document_id', '=', documentId)
      return (await query.executeTakeFirst()) !== undefined
    },
  }
}
