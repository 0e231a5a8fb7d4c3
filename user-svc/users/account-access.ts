/** Changes of roles and deactivations, which must leave at least one active administrator. */
import type { Kysely } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { lastAdministrator, userNotFound } from '../errors.ts'
import type { Tables } from '../tables.ts'
import { lockAccountChanges } from './account-changes.ts'
import { createUserRepository, type UserRepository, type UserRow } from './user-repository.ts'

/** Undefined fields keep their value. */
export interface AccessChanges {
  role?: Role | undefined
  department?: string | undefined
}

/** Changes that must leave at least one active administrator. */
export interface AccountAccess {
  /** @throws StatusError NOT_FOUND without an active user, FAILED_PRECONDITION `last_administrator`. */
  change(id: string, changes: AccessChanges): Promise<UserRow>
  /** Errors as in `change`. */
  deactivate(id: string, deactivatedBy: string): Promise<void>
}

/** @param db opens a transaction for each change of a role and each deactivation. */
export function createAccountAccess(db: Kysely<Tables>): AccountAccess {
  /** Checks and changes under one lock, so that two administrators cannot demote each other concurrently. */
  function withLock<R>(work: (users: UserRepository) => Promise<R>): Promise<R> {
    return db.transaction().execute(async transaction => {
      await lockAccountChanges(transaction)
      return work(createUserRepository(transaction))
    })
  }

  return {
    async change(id, changes) {
      const change = async (users: UserRepository) => {
        if (changes.role !== undefined && changes.role !== 'admin') await assertNotLastAdministrator(users, id)
        const user = await users.update(id, changes)
        if (user === undefined) throw userNotFound()
        return user
      }
      return changes.role === undefined ? change(createUserRepository(db)) : withLock(change)
    },
    deactivate: (id, deactivatedBy) =>
      withLock(async users => {
        await assertNotLastAdministrator(users, id)
        if (!(await users.deactivate(id, deactivatedBy))) throw userNotFound()
      }),
  }
}

/** Call under `lockAccountChanges`. @throws StatusError FAILED_PRECONDITION `last_administrator`. */
export async function assertNotLastAdministrator(users: UserRepository, id: string): Promise<void> {
  const user = await users.find(id)
  if (user?.role === 'admin' && !(await users.hasOtherAdministrator(id))) throw lastAdministrator()
}
