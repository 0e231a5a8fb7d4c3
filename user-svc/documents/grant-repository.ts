import { type Kysely, type Selectable, sql } from 'kysely'
import { type Keyset, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { DocumentGrantsTable, Tables } from '../tables.ts'
import { type Caller, isAllowed } from './access-rules.ts'

/** The access of one user to one document. */
export type GrantRow = Selectable<DocumentGrantsTable>

/** Grants to active users. A user has at most one grant per document. */
export interface GrantRepository {
  /**
   * Creates or replaces the grant of a user.
   * @returns undefined if `caller` may not share the document, or the user is not active or owns the document.
   */
  put(documentId: string, userId: string, access: GrantRow['access'], caller: Caller): Promise<GrantRow | undefined>
  /** @returns false if there is no grant, or `caller` is neither its user nor may share the document. */
  delete(documentId: string, userId: string, caller: Caller): Promise<boolean>
  /** Ordered by user id. Does not check access to the document. */
  page(documentId: string, size: number, after: Position | undefined): Promise<Page<GrantRow>>
}

const BY_USER = { direction: 'asc', columns: [['user_id', 'uuid']] } as const satisfies Keyset

/** @param db database or transaction. */
export function createGrantRepository(db: Kysely<Tables>): GrantRepository {
  return {
    put: (documentId, userId, access, caller) =>
      db
        .insertInto('document_grants')
        .columns(['document_id', 'user_id', 'access', 'granted_by'])
        .expression(
          db
            .selectFrom('documents')
            .innerJoin('users', join => join.on('users.id', '=', userId))
            .select([
              'documents.id as document_id',
              'users.id as user_id',
              sql<GrantRow['access']>`${access}::text`.as('access'),
              sql<string>`${caller.userId}::uuid`.as('granted_by'),
            ])
            .where('documents.id', '=', documentId)
            .where(isAllowed('share', caller))
            .whereRef('documents.owner_id', '<>', 'users.id'),
        )
        .onConflict(conflict =>
          conflict.columns(['document_id', 'user_id']).doUpdateSet(row => ({
            access: row.ref('excluded.access'),
            granted_by: row.ref('excluded.granted_by'),
          })),
        )
        .returningAll()
        .executeTakeFirst(),
    async delete(documentId, userId, caller) {
      const { numDeletedRows } = await db
        .deleteFrom('document_grants')
        .where('document_id', '=', documentId)
        .where('user_id', '=', userId)
        .where(row =>
          row.exists(
            row
              .selectFrom('documents')
              .select('documents.id')
              .where('documents.id', '=', documentId)
              .where(document =>
                userId.toLowerCase() === caller.userId ? sql<boolean>`true` : isAllowed('share', caller)(document),
              ),
          ),
        )
        .executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },
    page(documentId, size, after) {
      const query = db
        .selectFrom('document_grants')
        .selectAll('document_grants')
        .innerJoin('users', 'users.id', 'document_grants.user_id')
        .where('document_id', '=', documentId)
      return readPage(query, BY_USER, size, after)
    },
  }
}
