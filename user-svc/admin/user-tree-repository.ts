/** Users with their latest documents and the latest comments on those, in one statement. */
import { type Kysely, sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { NEWEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { Tables, Visibility } from '../tables.ts'
import { STORED_USER_COLUMNS, type StoredUserRow } from '../users/user-repository.ts'

/** A comment in the tree. Times are text in the JSON format of PostgreSQL (ISO 8601). */
export interface TreeComment {
  id: string
  author_id: string
  /** First 100 characters. */
  excerpt: string
  sentiment: number | null
  created_at: string
}

export interface TreeDocument {
  id: string
  title: string
  tags: string[]
  visibility: Visibility
  updated_at: string
  comments: TreeComment[]
}

export type TreeUser = StoredUserRow & { documents: TreeDocument[] }

/** Maximum numbers: users per page, documents per user, comments per document. */
export interface TreeSize {
  users: number
  documents: number
  comments: number
}

export interface UserTreeRepository {
  /** Active users, newest first; documents by last update and comments by creation, latest first. */
  page(size: TreeSize, after: Position | undefined): Promise<Page<TreeUser>>
}

const EXCERPT_LENGTH = 100

/** @param db its statement timeout must allow a page of maximum size. */
export function createUserTreeRepository(db: Kysely<Tables>): UserTreeRepository {
  return {
    page(size, after) {
      const query = db
        .selectFrom('users_all')
        .select(STORED_USER_COLUMNS)
        .select(user =>
          jsonArrayFrom(
            user
              .selectFrom('documents')
              .select([
                'documents.id',
                'title',
                'tags',
                'visibility',
                sql<string>`documents.updated_at`.as('updated_at'),
              ])
              .select(document =>
                jsonArrayFrom(
                  document
                    .selectFrom('comments')
                    .select([
                      'comments.id',
                      'author_id',
                      'sentiment',
                      sql<string>`comments.created_at`.as('created_at'),
                    ])
                    .select(sql<string>`left(comments.body, ${sql.lit(EXCERPT_LENGTH)})`.as('excerpt'))
                    .whereRef('comments.document_id', '=', 'documents.id')
                    .orderBy('comments.created_at', 'desc')
                    .orderBy('comments.id', 'desc')
                    .limit(size.comments),
                ).as('comments'),
              )
              .whereRef('documents.owner_id', '=', 'users_all.id')
              .orderBy('documents.updated_at', 'desc')
              .orderBy('documents.id', 'desc')
              .limit(size.documents),
          ).as('documents'),
        )
        .where('deleted_at', 'is', null)
      return readPage(query, NEWEST_FIRST, size.users, after)
    },
  }
}
