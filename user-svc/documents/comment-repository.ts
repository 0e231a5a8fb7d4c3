import { type Kysely, type Selectable, sql } from 'kysely'
import { OLDEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { CommentsView, Tables } from '../tables.ts'
import type { Caller } from '../users/caller.ts'
import { mayDo } from './document-access.ts'

export type CommentRow = Selectable<CommentsView>

export interface NewComment {
  documentId: string
  body: string
  sentiment?: number | undefined
}

/** Comments that are there: neither deleted, nor gone with their author or their document. */
export interface CommentRepository {
  /** @returns undefined when the caller may not comment on the document, or there is none. */
  insert(comment: NewComment, author: Caller): Promise<CommentRow | undefined>
  /** The oldest first. Who may read them is not asked here. */
  page(documentId: string, size: number, after: Position | undefined): Promise<Page<CommentRow>>
  /** Marks as deleted, for the author and who may moderate. To be called in a transaction. @returns false when it was not. */
  delete(documentId: string, id: string, caller: Caller): Promise<boolean>
  exists(documentId: string, id: string): Promise<boolean>
}

const COLUMNS = ['id', 'document_id', 'author_id', 'body', 'sentiment', 'created_at'] as const

/** @param db the database or a transaction. */
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
            .where(mayDo('comment', author)),
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
                .where(mayDo('moderate', caller)),
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
