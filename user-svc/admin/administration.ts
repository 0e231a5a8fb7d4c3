/**
 * Bulk changes of accounts and the restoration of deactivated ones. A bulk change never affects its caller: at least
 * one administrator remains, and a filter that matches more users than intended does not lock the caller out.
 */
import type { Kysely } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { invalidArgument } from '#runtime/status.ts'
import { accountErased, emailTaken, notAdministrator, userNotFound } from '../errors.ts'
import type { Tables } from '../tables.ts'
import { lockAccountChanges } from '../users/account-changes.ts'
import type { StoredUserRow } from '../users/user-repository.ts'
import {
  type AdministrationRepository,
  type BulkCounts,
  createAdministrationRepository,
} from './administration-repository.ts'
import { isEmptyFilter, type UserFilter } from './user-filter.ts'

export interface Administration {
  /**
   * Returns an active user unchanged.
   * @throws StatusError NOT_FOUND, ALREADY_EXISTS `email_taken` if an active user has the address by now,
   *   FAILED_PRECONDITION `account_erased`.
   */
  restore(id: string): Promise<StoredUserRow>
  /**
   * Sets the role of all matching active users except `caller`, in one transaction; a dry run counts only.
   * @throws StatusError INVALID_ARGUMENT for an empty filter, PERMISSION_DENIED if `caller` is no longer an
   *   administrator.
   */
  setRole(filter: UserFilter, role: Role, caller: string, isDryRun: boolean): Promise<BulkCounts>
  /** Parameters and errors as in `setRole`. */
  deactivate(filter: UserFilter, caller: string, isDryRun: boolean): Promise<BulkCounts>
}

/** @param db its statement timeout must allow changes of 10,000 users. */
export function createAdministration(db: Kysely<Tables>): Administration {
  const users = createAdministrationRepository(db)

  /** Checks the role of the caller under the lock, so that no concurrent change removes the last administrator. */
  function withLock<R>(caller: string, work: (users: AdministrationRepository) => Promise<R>): Promise<R> {
    return db.transaction().execute(async transaction => {
      await lockAccountChanges(transaction)
      const locked = createAdministrationRepository(transaction)
      const self = await locked.find(caller)
      if (self?.role !== 'admin' || self.deleted_at !== null) throw notAdministrator()
      return work(locked)
    })
  }

  return {
    async restore(id) {
      try {
        const user = (await users.restore(id)) ?? (await users.find(id))
        if (user === undefined) throw userNotFound()
        if (user.erased_at !== null) throw accountErased()
        return user
      } catch (error) {
        throw (error as { constraint?: string }).constraint === 'users_email' ? emailTaken() : error
      }
    },
    async setRole(filter, role, caller, isDryRun) {
      assertFilter(filter)
      if (isDryRun) return users.count(filter, role, caller)
      return withLock(caller, locked => locked.setRole(filter, role, caller))
    },
    async deactivate(filter, caller, isDryRun) {
      assertFilter(filter)
      if (isDryRun) return users.count(filter, undefined, caller)
      return withLock(caller, locked => locked.deactivate(filter, caller))
    },
  }
}

function assertFilter(filter: UserFilter): void {
  if (isEmptyFilter(filter)) {
    throw invalidArgument([{ field: 'filter', description: 'must have at least one condition' }])
  }
}
