/** Users in any state, and bulk changes of users. */
import { type Kysely, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { NEWEST_FIRST, type Page, type Position, readPage } from '../paging/keyset.ts'
import type { Tables } from '../tables.ts'
import { findStoredUser, STORED_USER_COLUMNS, type StoredUserRow } from '../users/user-repository.ts'
import { matchesFilter, type UserFilter } from './user-filter.ts'

/** Users that a list includes, as named in the API: active, deactivated or erased, or all. */
export type UserState = 'living' | 'deleted' | 'all'

/** `matched`: users that match the filter. `changed`: those of them that the change affects. */
export interface BulkCounts {
  matched: number
  changed: number
}

/** The bulk methods match active users only, without `caller`. */
export interface AdministrationRepository {
  /** Newest first. */
  page(state: UserState, filter: UserFilter, size: number, after: Position | undefined): Promise<Page<StoredUserRow>>
  find(id: string): Promise<StoredUserRow | undefined>
  /**
   * @returns undefined if there is no deactivated user with this id, or the user is erased.
   * @throws DatabaseError with the constraint `users_email` if an active user has the e-mail address.
   */
  restore(id: string): Promise<StoredUserRow | undefined>
  /** Requires a transaction. */
  setRole(filter: UserFilter, role: Role, caller: string): Promise<BulkCounts>
  /** Requires a transaction. */
  deactivate(filter: UserFilter, caller: string): Promise<BulkCounts>
  /** What `setRole` or, without a role, `deactivate` would return. */
  count(filter: UserFilter, role: Role | undefined, caller: string): Promise<BulkCounts>
}

/** @param db database or transaction. */
export function createAdministrationRepository(db: Kysely<Tables>): AdministrationRepository {
  const matched = (filter: UserFilter, caller: string) =>
    db.selectFrom('users').select(['id', 'role']).where(matchesFilter<'users'>(filter)).where('id', '!=', caller)

  return {
    page(state, filter, size, after) {
      const query = db
        .selectFrom('users_all')
        .select(STORED_USER_COLUMNS)
        .where(matchesFilter<'users_all'>(filter))
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
          row.selectFrom('matched').select(count.as('count')).as('matched'),
          row.selectFrom('changed').select(count.as('count')).as('changed'),
        ])
        .executeTakeFirstOrThrow() as Promise<BulkCounts>,
    async deactivate(filter, caller) {
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
          row.selectFrom('matched').select(count.as('count')).as('matched'),
          row.selectFrom('changed').select(count.as('count')).as('changed'),
        ])
        .executeTakeFirstOrThrow() as Promise<BulkCounts>
    },
    count: (filter, role, caller) =>
      db
        .selectFrom(matched(filter, caller).as('matched'))
        .select([
          count.as('matched'),
          (role === undefined ? count : sql<number>`count(*) filter (where role <> ${role})::integer`).as('changed'),
        ])
        .executeTakeFirstOrThrow(),
  }
}

const count = sql<number>`count(*)::integer`
