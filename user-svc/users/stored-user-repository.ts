/** Rows of `users_all`: every user, including deactivated and erased ones. */
import type { Kysely, Selectable } from 'kysely'
import type { Tables, UsersTable } from '../tables.ts'

export type StoredUserRow = Selectable<UsersTable>

// Listed by name, so that adding a column does not change a response.
export const STORED_USER_COLUMNS = [
  'id',
  'email',
  'name',
  'role',
  'department',
  'doc_count',
  'created_at',
  'updated_at',
  'deleted_at',
  'deleted_by',
  'erased_at',
] as const

/** @param db the database or a transaction. */
export function findStoredUser(db: Kysely<Tables>, id: string): Promise<StoredUserRow | undefined> {
  return db.selectFrom('users_all').select(STORED_USER_COLUMNS).where('id', '=', id).executeTakeFirst()
}
