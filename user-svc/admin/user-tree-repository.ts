/** Users, their documents, and what is said about those: one statement for all three. */
import { type Kysely, sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { NEWEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { Tables, Visibility } from '../tables.ts'
import { STORED_USER_COLUMNS, type StoredUserRow } from '../users/stored-user-repository.ts'

/** Times are in JSON what PostgreSQL writes. */
export interface CommentLeaf {
  id: string
  author_id: string
  excerpt: string
  sentiment: number | null
  created_at: string
}

export interface DocumentBranch {
  id: string
  title: string
  tags: string[]
  visibility: Visibility
  updated_at: string
  comments: CommentLeaf[]
}

export type UserRoot = StoredUserRow & { documents: DocumentBranch[] }

export interface TreeSize {
  users: number
  /** A user at most, the latest first. */
  documents: number
  /** A document at most, the latest first. */
  comments: number
}

export interface UserTreeRepository {
  /** Living users, the newest first. */
  page(size: TreeSize, after: Position | undefined): Promise<Page<UserRoot>>
}

const EXCERPT_LENGTH = 100

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
