import { type Kysely, type Selectable, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { type Prepare, prepareIn } from '#runtime/postgres/prepared-statements.ts'
import { NEWEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { Tables, UsersView } from '../tables.ts'

export type UserRow = Omit<Selectable<UsersView>, 'doc_count'>

export interface NewUser {
  id: string
  email: string
  name: string
  role: Role
}

export interface UserChanges {
  name?: string | undefined
  role?: Role | undefined
  department?: string | undefined
}

/** Users who have not been closed, but where a method says so. */
export interface UserRepository {
  find(id: string): Promise<UserRow | undefined>
  /** In no order; who is not there is left out. */
  findAll(ids: readonly string[]): Promise<UserRow[]>
  /** @returns undefined if the id was ever used or the e-mail address is taken. */
  insert(user: NewUser): Promise<UserRow | undefined>
  /** Whether the id was ever used, closed accounts included. */
  isKnown(id: string): Promise<boolean>
  /** What is undefined stays as it is. */
  update(id: string, changes: UserChanges): Promise<UserRow | undefined>
  /** Marks as deleted; the row stays. To be called in a transaction. @returns false if there is no such user. */
  close(id: string, closedBy: string): Promise<boolean>
  hasOtherAdministrator(than: string): Promise<boolean>
  /** Newest first. */
  page(size: number, after: Position | undefined): Promise<Page<UserRow>>
}

// By name, so that a column which is added does not change what a prepared statement answers.
const COLUMNS = ['id', 'email', 'name', 'role', 'department', 'created_at', 'updated_at'] as const

/** @param db the database or a transaction. */
export function createUserRepository(db: Kysely<Tables>, prepare: Prepare = prepareIn(db)): UserRepository {
  const selectById = prepare<UserRow>(() => db.selectFrom('users').select(COLUMNS).where('id', '=', '').compile())
  const find = async (id: string) => (await selectById(id))[0]

  return {
    find,
    findAll: ids =>
      db
        .selectFrom('users')
        .select(COLUMNS)
        .where('id', '=', sql<string>`any(${[...ids]}::uuid[])`)
        .execute(),
    insert: user =>
      db
        .insertInto('users')
        .values(user)
        .onConflict(conflict => conflict.doNothing())
        .returningAll()
        .executeTakeFirst(),
    async isKnown(id) {
      return (await db.selectFrom('users_all').select('id').where('id', '=', id).executeTakeFirst()) !== undefined
    },
    update(id, changes) {
      if (Object.values(changes).every(value => value === undefined)) return find(id)
      return db.updateTable('users').set(changes).where('id', '=', id).returningAll().executeTakeFirst()
    },
    async close(id, closedBy) {
      await sql`select set_config('gatehouse.actor', ${closedBy}, true)`.execute(db)
      const { numDeletedRows } = await db.deleteFrom('users').where('id', '=', id).executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },
    async hasOtherAdministrator(than) {
      const query = db.selectFrom('users').select('id').where('role', '=', 'admin').where('id', '!=', than).limit(1)
      return (await query.executeTakeFirst()) !== undefined
    },
    page: (size, after) => readPage(db.selectFrom('users').select(COLUMNS), NEWEST_FIRST, size, after),
  }
}
