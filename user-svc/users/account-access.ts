/** Who may do what, and whether at all: changes that one account alone cannot decide. */
import type { Kysely } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { lastAdministrator, userNotFound } from '../errors.ts'
import type { Tables } from '../tables.ts'
import { lockAccountChanges } from './account-changes.ts'
import { createUserRepository, type UserRepository, type UserRow } from './user-repository.ts'

export interface AccessChanges {
  role?: Role | undefined
  department?: string | undefined
}

export interface AccountAccess {
  /** @throws StatusError NOT_FOUND, or FAILED_PRECONDITION `last_administrator`. */
  change(id: string, changes: AccessChanges): Promise<UserRow>
  /** @throws StatusError NOT_FOUND, or FAILED_PRECONDITION `last_administrator`. */
  close(id: string, closedBy: string): Promise<void>
}

export function createAccountAccess(db: Kysely<Tables>): AccountAccess {
  /** The decision and the change under one lock: two administrators cannot demote each other at the same time. */
  function decide<R>(work: (users: UserRepository) => Promise<R>): Promise<R> {
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
      return changes.role === undefined ? change(createUserRepository(db)) : decide(change)
    },
    close: (id, closedBy) =>
      decide(async users => {
        await assertNotLastAdministrator(users, id)
        if (!(await users.close(id, closedBy))) throw userNotFound()
      }),
  }
}

/** To be called under the lock. @throws StatusError FAILED_PRECONDITION `last_administrator`. */
export async function assertNotLastAdministrator(users: UserRepository, id: string): Promise<void> {
  const user = await users.find(id)
  if (user?.role === 'admin' && !(await users.hasOtherAdministrator(id))) throw lastAdministrator()
}
