/** Users as administrators see and change them: many at once, closed ones too. */
import { type Kysely, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { NEWEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { Tables } from '../tables.ts'
import { findStoredUser, STORED_USER_COLUMNS, type StoredUserRow } from '../users/stored-user-repository.ts'
import { meets, type UserFilter } from './user-filter.ts'

export type UserState = 'living' | 'deleted' | 'all'

/** Users whom a filter found, and those of them who were changed, or would be. */
export interface BulkCounts {
  matched: number
  changed: number
}

export interface AdministrationRepository {
  /** Newest first. */
  page(state: UserState, filter: UserFilter, size: number, after: Position | undefined): Promise<Page<StoredUserRow>>
  find(id: string): Promise<StoredUserRow | undefined>
  /** Opens a closed account again. @returns undefined when there is none to open. @throws on an address that is taken. */
  restore(id: string): Promise<StoredUserRow | undefined>
  /** Of the living, all but `caller`. To be called in a transaction, as is `close`. */
  setRole(filter: UserFilter, role: Role, caller: string): Promise<BulkCounts>
  /** Marks as deleted. */
  close(filter: UserFilter, caller: string): Promise<BulkCounts>
  /** What `setRole` or, without a role, `close` would do. */
  count(filter: UserFilter, role: Role | undefined, caller: string): Promise<BulkCounts>
}

/** @param db the database or a transaction. */
export function createAdministrationRepository(db: Kysely<Tables>): AdministrationRepository {
  const matched = (filter: UserFilter, caller: string) =>
    db.selectFrom('users').select(['id', 'role']).where(meets<'users'>(filter)).where('id', '!=', caller)

  return {
    page(state, filter, size, after) {
      const query = db
        .selectFrom('users_all')
        .select(STORED_USER_COLUMNS)
        .where(meets<'users_all'>(filter))
        .$if(state === 'living', query => query.where('deleted_at', 'is', null))
        .$if(state === 'deleted', query => query.where('deleted_at', 'is not', null))
      return readPage(query, NEWEST_FIRST, size, after)
    },
    find: id => findStoredUser(db, id),
    restore: id =>
      db
        .updateTable('users_all')
        .set({ deleted_at: null, deleted_by: null })
        .where('id', '=', id)
        .where('deleted_at', 'is not', null)
        .where('erased_at', 'is', null)
        .returning(STORED_USER_COLUMNS)
        .executeTakeFirst(),
    setRole: (filter, role, caller) =>
      db
        .with('matched', () => matched(filter, caller))
        .with('changed', cte =>
          cte
            .updateTable('users')
            .set({ role })
            .where('id', 'in', row => row.selectFrom('matched').select('matched.id').where('matched.role', '!=', role))
            .returning('id'),
        )
        .selectNoFrom(row => [
          row.selectFrom('matched').select(number.as('count')).as('matched'),
          row.selectFrom('changed').select(number.as('count')).as('changed'),
        ])
        .executeTakeFirstOrThrow() as Promise<BulkCounts>,
    async close(filter, caller) {
      await sql`select set_config('gatehouse.actor', ${caller}, true)`.execute(db)
      return db
        .with('matched', () => matched(filter, caller))
        .with('changed', cte =>
          cte
            .deleteFrom('users')
            .where('id', 'in', row => row.selectFrom('matched').select('matched.id'))
            .returning('id'),
        )
        .selectNoFrom(row => [
          row.selectFrom('matched').select(number.as('count')).as('matched'),
          row.selectFrom('changed').select(number.as('count')).as('changed'),
        ])
        .executeTakeFirstOrThrow() as Promise<BulkCounts>
    },
    count: (filter, role, caller) =>
      db
        .selectFrom(matched(filter, caller).as('matched'))
        .select([
          number.as('matched'),
          (role === undefined ? number : sql<number>`count(*) filter (where role <> ${role})::integer`).as('changed'),
        ])
        .executeTakeFirstOrThrow(),
  }
}

const number = sql<number>`count(*)::integer`
