/**
 * What administrators change of many accounts at once, and of closed ones. Whoever does it is left out: by them one
 * administrator remains, and nobody locks themselves out by a filter that finds more than was meant.
 */
import type { Kysely } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { invalidArgument } from '#runtime/status.ts'
import { accountErased, emailTaken, noAdministrator, userNotFound } from '../errors.ts'
import type { Tables } from '../tables.ts'
import { lockAccountChanges } from '../users/account-changes.ts'
import type { StoredUserRow } from '../users/stored-user-repository.ts'
import {
  type AdministrationRepository,
  type BulkCounts,
  createAdministrationRepository,
} from './administration-repository.ts'
import { isEmptyFilter, type UserFilter } from './user-filter.ts'

export interface Administration {
  /** @throws StatusError NOT_FOUND, ALREADY_EXISTS `email_taken`, FAILED_PRECONDITION `account_erased`. */
  restore(id: string): Promise<StoredUserRow>
  /** @throws StatusError INVALID_ARGUMENT for a filter that is empty, PERMISSION_DENIED. */
  setRole(filter: UserFilter, role: Role, caller: string, isDryRun: boolean): Promise<BulkCounts>
  /** @throws as `setRole`. */
  close(filter: UserFilter, caller: string, isDryRun: boolean): Promise<BulkCounts>
}

/** @param db in which a statement may take as long as ten thousand accounts do. */
export function createAdministration(db: Kysely<Tables>): Administration {
  const users = createAdministrationRepository(db)

  /** Under the lock, since an administrator who is demoted meanwhile would be one of whom none remains. */
  function decide<R>(caller: string, work: (users: AdministrationRepository) => Promise<R>): Promise<R> {
    return db.transaction().execute(async transaction => {
      await lockAccountChanges(transaction)
      const locked = createAdministrationRepository(transaction)
      const self = await locked.find(caller)
      if (self?.role !== 'admin' || self.deleted_at !== null) throw noAdministrator()
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
      return decide(caller, locked => locked.setRole(filter, role, caller))
    },
    async close(filter, caller, isDryRun) {
      assertFilter(filter)
      if (isDryRun) return users.count(filter, undefined, caller)
      return decide(caller, locked => locked.close(filter, caller))
    },
  }
}

/** Everybody is never meant by saying nothing. */
function assertFilter(filter: UserFilter): void {
  if (isEmptyFilter(filter)) {
    throw invalidArgument([{ field: 'filter', description: 'is empty: say which users are meant' }])
  }
}
