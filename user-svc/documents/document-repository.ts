import { type Kysely, type Selectable, sql } from 'kysely'
import type { DocumentsView, Tables, Visibility } from '../tables.ts'
import { type Caller, type DocumentAction, isAllowed } from './access-rules.ts'

/** A visible document, without its search vector. */
export type DocumentRow = Omit<Selectable<DocumentsView>, 'search' | 'words'>

export interface NewDocument {
  owner_id: string
  title: string
  body: string
  tags: string[]
  visibility: Visibility
  department: string
}

/** Undefined fields keep their value. */
export type DocumentChanges = Partial<Omit<NewDocument, 'owner_id'>>

/** `version` is the current one. */
export interface AccessCheck {
  version: number
  isAllowed: boolean
}

/**
 * Visible documents: not deleted, and owned by an active user. Each method checks access in the same statement: a
 * document on which the caller may not perform the action is treated as missing.
 */
export interface DocumentRepository {
  /** @returns undefined if the document does not exist or `caller` may not read it. */
  find(id: string, caller: Caller | undefined): Promise<DocumentRow | undefined>
  /** @throws on a violated constraint, such as `documents_department_named`. */
  insert(document: NewDocument): Promise<DocumentRow>
  /**
   * @param action that `caller` must be allowed to perform.
   * @param versions accepted versions; undefined accepts all.
   * @returns undefined if the document does not exist, has another version, or the action is not allowed.
   */
  update(
    id: string,
    changes: DocumentChanges,
    action: DocumentAction,
    caller: Caller,
    versions: readonly number[] | undefined,
  ): Promise<DocumentRow | undefined>
  /**
   * Requires a transaction: sets `deleted_by` through a transaction-local setting and locks the row.
   * @returns false if the document does not exist, has another version, or `caller` may not delete it.
   */
  delete(id: string, caller: Caller, versions: readonly number[] | undefined): Promise<boolean>
  /** @returns undefined if the document does not exist or `caller` may not read it. */
  checkAccess(id: string, action: DocumentAction, caller: Caller | undefined): Promise<AccessCheck | undefined>
}

/** Excludes `search`: the search vector of a body is twice as long as the body. */
export const DOCUMENT_COLUMNS = [
  'id',
  'owner_id',
  'title',
  'body',
  'tags',
  'visibility',
  'department',
  'version',
  'created_at',
  'updated_at',
] as const

/** @param db database or transaction. */
export function createDocumentRepository(db: Kysely<Tables>): DocumentRepository {
  return {
    find: (id, caller) =>
      db
        .selectFrom('documents')
        .select(DOCUMENT_COLUMNS)
        .where('id', '=', id)
        .where(isAllowed('read', caller))
        .executeTakeFirst(),
    insert: document =>
      db.insertInto('documents').values(document).returning(DOCUMENT_COLUMNS).executeTakeFirstOrThrow(),
    update: (id, changes, action, caller, versions) =>
      db
        .updateTable('documents')
        // Sets at least the id, so that a request without changes still checks access and version.
        .set({ id, ...changes })
        .where('id', '=', id)
        .where(isAllowed(action, caller))
        .$if(versions !== undefined, query => query.where('version', 'in', [...(versions ?? [])]))
        .returning(DOCUMENT_COLUMNS)
        .executeTakeFirst(),
    async delete(id, caller, versions) {
      await sql`select set_config('gatehouse.actor', ${caller.userId}, true)`.execute(db)
      // The INSTEAD OF DELETE trigger selects by id only: lock the row between check and deletion.
      const found = await db
        .selectFrom('documents')
        .select('id')
        .where('id', '=', id)
        .where(isAllowed('delete', caller))
        .$if(versions !== undefined, query => query.where('version', 'in', [...(versions ?? [])]))
        .forUpdate()
        .executeTakeFirst()
      if (found === undefined) return false
      const { numDeletedRows } = await db.deleteFrom('documents').where('id', '=', id).executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },
    checkAccess: (id, action, caller) =>
      db
        .selectFrom('documents')
        .select(['version', row => isAllowed(action, caller)(row).as('isAllowed')])
        .where('id', '=', id)
        .where(isAllowed('read', caller))
        .executeTakeFirst() as Promise<AccessCheck | undefined>,
  }
}
