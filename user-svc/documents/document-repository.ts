import { type Kysely, type Selectable, sql } from 'kysely'
import type { DocumentsView, Tables, Visibility } from '../tables.ts'
import type { Caller } from '../users/caller.ts'
import type { DocumentAction } from './access-rules.ts'
import { mayDo } from './document-access.ts'

export type DocumentRow = Omit<Selectable<DocumentsView>, 'search'>

export interface NewDocument {
  owner_id: string
  title: string
  body: string
  tags: string[]
  visibility: Visibility
  department: string
}

/** What is undefined stays as it is. */
export type DocumentChanges = Partial<Omit<NewDocument, 'owner_id'>>

/** How the caller stands to a document that may be read. */
export interface Standing {
  version: number
  isAllowed: boolean
}

/** Documents that are there, for who may do that with them: everything else finds nothing. */
export interface DocumentRepository {
  find(id: string, caller: Caller | undefined): Promise<DocumentRow | undefined>
  insert(document: NewDocument): Promise<DocumentRow>
  /** @param versions of which it must have one; undefined is any. @returns undefined when it was not changed. */
  update(
    id: string,
    changes: DocumentChanges,
    action: DocumentAction,
    caller: Caller,
    versions: readonly number[] | undefined,
  ): Promise<DocumentRow | undefined>
  /** Marks as deleted. To be called in a transaction. @returns false when it was not. */
  delete(id: string, caller: Caller, versions: readonly number[] | undefined): Promise<boolean>
  /** @returns undefined when the caller may not read it, or there is none. */
  standing(id: string, action: DocumentAction, caller: Caller | undefined): Promise<Standing | undefined>
}

/** By name, since a body's search vector is twice as long as the body. */
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

/** @param db the database or a transaction. */
export function createDocumentRepository(db: Kysely<Tables>): DocumentRepository {
  return {
    find: (id, caller) =>
      db
        .selectFrom('documents')
        .select(DOCUMENT_COLUMNS)
        .where('id', '=', id)
        .where(mayDo('read', caller))
        .executeTakeFirst(),
    insert: document =>
      db.insertInto('documents').values(document).returning(DOCUMENT_COLUMNS).executeTakeFirstOrThrow(),
    update: (id, changes, action, caller, versions) =>
      db
        .updateTable('documents')
        // To set the id to itself changes nothing, and asks for the rest all the same.
        .set({ id, ...changes })
        .where('id', '=', id)
        .where(mayDo(action, caller))
        .$if(versions !== undefined, query => query.where('version', 'in', [...(versions ?? [])]))
        .returning(DOCUMENT_COLUMNS)
        .executeTakeFirst(),
    async delete(id, caller, versions) {
      await sql`select set_config('gatehouse.actor', ${caller.userId}, true)`.execute(db)
      // Locked first: a trigger deletes, by the id alone, and would not see a change that came before it.
      const found = await db
        .selectFrom('documents')
        .select('id')
        .where('id', '=', id)
        .where(mayDo('delete', caller))
        .$if(versions !== undefined, query => query.where('version', 'in', [...(versions ?? [])]))
        .forUpdate()
        .executeTakeFirst()
      if (found === undefined) return false
      const { numDeletedRows } = await db.deleteFrom('documents').where('id', '=', id).executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },
    standing: (id, action, caller) =>
      db
        .selectFrom('documents')
        .select(['version', row => mayDo(action, caller)(row).as('isAllowed')])
        .where('id', '=', id)
        .where(mayDo('read', caller))
        .executeTakeFirst() as Promise<Standing | undefined>,
  }
}
