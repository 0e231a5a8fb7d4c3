import DataLoader from 'dataloader'
import { type Kysely, type Selectable, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { type Prepare, prepareIn } from '#runtime/postgres/prepared-statements.ts'
import { NEWEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { Tables, UsersTable, UsersView } from '../tables.ts'

/** An active user. */
export type UserRow = Omit<Selectable<UsersView>, 'doc_count'>

export interface NewUser {
  /** Chosen by auth-svc. */
  id: string
  email: string
  name: string
  role: Role
}

/** Undefined fields keep their value. */
export interface UserChanges {
  name?: string | undefined
  role?: Role | undefined
  department?: string | undefined
}

/** Active users, unless a method says otherwise. */
export interface UserRepository {
  find(id: string): Promise<UserRow | undefined>
  /** Finds users by id in one statement, in no particular order. Omits ids without an active user. */
  findAll(ids: readonly string[]): Promise<UserRow[]>
  /** @returns undefined if the id was ever used or an active user has the e-mail address. */
  insert(user: NewUser): Promise<UserRow | undefined>
  /** Includes deactivated and erased users. */
  isIdUsed(id: string): Promise<boolean>
  /** @returns undefined if there is no active user with this id. */
  update(id: string, changes: UserChanges): Promise<UserRow | undefined>
  /**
   * Requires a transaction, for the transaction-local setting that fills `deleted_by`.
   * @returns false if there is no active user with this id.
   */
  deactivate(id: string, deactivatedBy: string): Promise<boolean>
  /** Whether an active administrator other than `id` exists. */
  hasOtherAdministrator(id: string): Promise<boolean>
  /** Newest first. */
  page(size: number, after: Position | undefined): Promise<Page<UserRow>>
}

// Explicit names: after `select *`, a new column would invalidate prepared statements.
const COLUMNS = ['id', 'email', 'name', 'role', 'department', 'created_at', 'updated_at'] as const

/** @param prepare prepares the statement of `find`. Default: unnamed statements on `db`. */
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
    async isIdUsed(id) {
      return (await db.selectFrom('users_all').select('id').where('id', '=', id).executeTakeFirst()) !== undefined
    },
    update(id, changes) {
      if (Object.values(changes).every(value => value === undefined)) return find(id)
      return db.updateTable('users').set(changes).where('id', '=', id).returningAll().executeTakeFirst()
    },
    async deactivate(id, deactivatedBy) {
      await sql`select set_config('gatehouse.actor', ${deactivatedBy}, true)`.execute(db)
      const { numDeletedRows } = await db.deleteFrom('users').where('id', '=', id).executeTakeFirstOrThrow()
      return numDeletedRows > 0n
    },
    async hasOtherAdministrator(id) {
      const query = db.selectFrom('users').select('id').where('role', '=', 'admin').where('id', '!=', id).limit(1)
      return (await query.executeTakeFirst()) !== undefined
    },
    page: (size, after) => readPage(db.selectFrom('users').select(COLUMNS), NEWEST_FIRST, size, after),
  }
}

/** A user in any state: active, deactivated or erased. */
export type StoredUserRow = Selectable<UsersTable>

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

/** Finds a user in any state. @param db database or transaction. */
export function findStoredUser(db: Kysely<Tables>, id: string): Promise<StoredUserRow | undefined> {
  return db.selectFrom('users_all').select(STORED_USER_COLUMNS).where('id', '=', id).executeTakeFirst()
}

export type UserLoader = DataLoader<string, UserRow | undefined>

/** Loads active users for one call: each is read once, and loads of the same event-loop turn share one statement. */
export function createUserLoader(users: Pick<UserRepository, 'findAll'>): UserLoader {
  return new DataLoader(async ids => {
    const found = new Map((await users.findAll(ids)).map(user => [user.id, user]))
    return ids.map(id => found.get(id))
  })
}
