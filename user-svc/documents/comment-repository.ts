import { type Kysely, type Selectable, sql } from 'kysely'
import type { Position } from '../paging/page-token.ts'
import type { CommentsView, Tables } from '../tables.ts'
import type { Caller } from '../users/caller.ts'
import { mayDo } from './document-access.ts'

export type CommentRow = Selectable<CommentsView>

export interface NewComment {
  documentId: string
  body: string
  sentiment?: number | undefined
}

export interface CommentPage {
  comments: CommentRow[]
  /** Where the next page goes on; undefined on the last. */
  next: Position | undefined
}

/** Comments that are there: neither deleted, nor gone with their author or their document. */
export interface CommentRepository {
  /** @returns undefined when the caller may not comment on the document, or there is none. */
  insert(comment: NewComment, author: Caller): Promise<CommentRow | undefined>
  /** The oldest first. Who may read them is not asked here. */
  page(documentId: string, size: number, after: Position | undefined): Promise<CommentPage>
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
    async page(documentId, size, after) {
      const rows = await db
        .selectFrom('comments')
        .select(COLUMNS)
        .select(sql<string>`created_at::text`.as('position'))
        .where('document_id', '=', documentId)
        .$if(after !== undefined, query =>
          query.where(sql<boolean>`(created_at, id) > (${after?.[0]}::timestamptz, ${after?.[1]}::uuid)`),
        )
        .orderBy('created_at')
        .orderBy('id')
        .limit(size + 1)
        .execute()
      const comments = rows.slice(0, size)
      const last = comments.at(-1)
      const next = rows.length > size && last !== undefined ? [last.position, last.id] : undefined
      return { comments, next }
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
