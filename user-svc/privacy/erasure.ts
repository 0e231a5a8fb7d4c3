/**
 * The erasure of a user, in two stages. The first, in one transaction, takes all that is personal and leaves the receipt;
 * auth-svc, which learns of it by the outbox, takes its part and confirms. The second, when the retention is over, deletes
 * the emptied rows (retention.ts).
 *
 * What a request that was under way writes for the user after the first stage, the confirmation takes: by then no token of
 * the user is good any more.
 */
import type { Kysely } from 'kysely'
import { Code, StatusError } from '#runtime/status.ts'
import { erasureNotFound, userNotFound } from '../errors.ts'
import type { Tables } from '../tables.ts'
import { assertNotLastAdministrator } from '../users/account-access.ts'
import { lockAccountChanges } from '../users/account-changes.ts'
import { createUserRepository } from '../users/user-repository.ts'
import { createErasureRepository, type ErasureRow } from './erasure-repository.ts'

export interface Erasure {
  /**
   * The first stage. Again, it answers the receipt that is there.
   * @throws StatusError NOT_FOUND, FAILED_PRECONDITION `last_administrator`.
   */
  erase(userId: string, requestedBy: string): Promise<ErasureRow>
  /** The same, by nobody, for an account whose retention is over. @returns false when it is open again, or was erased. */
  eraseClosed(userId: string, closedBefore: Date): Promise<boolean>
  /** Also when the rows are gone. @throws StatusError NOT_FOUND. */
  find(userId: string): Promise<ErasureRow>
  /** auth-svc has done its part. @throws StatusError NOT_FOUND. */
  confirm(userId: string): Promise<void>
}

/** @param db in which a statement may take as long as ten thousand documents do. */
export function createErasure(db: Kysely<Tables>): Erasure {
  const receipts = createErasureRepository(db)

  /** @returns undefined when there is a receipt, or no such user. @throws as a whole when the account is not as it must be. */
  function firstStage(userId: string, requestedBy?: string, closedBefore?: Date): Promise<ErasureRow | undefined> {
    return db.transaction().execute(async transaction => {
      const erasures = createErasureRepository(transaction)
      if (!(await erasures.open(userId, requestedBy))) return undefined
      const counts = await erasures.empty(userId)
      // Late, since all other changes of accounts wait from here on.
      await lockAccountChanges(transaction)
      await assertNotLastAdministrator(createUserRepository(transaction), userId)
      if (!(await erasures.anonymise(userId, requestedBy, closedBefore))) throw userNotFound()
      return erasures.complete(userId, counts)
    })
  }

  return {
    async erase(userId, requestedBy) {
      const known = (await firstStage(userId, requestedBy)) ?? (await receipts.find(userId))
      if (known === undefined) throw userNotFound()
      return known
    },
    async eraseClosed(userId, closedBefore) {
      try {
        return (await firstStage(userId, undefined, closedBefore)) !== undefined
      } catch (error) {
        if (error instanceof StatusError && error.code === Code.NOT_FOUND) return false
        throw error
      }
    },
    async find(userId) {
      const receipt = await receipts.find(userId)
      if (receipt === undefined) throw erasureNotFound()
      return receipt
    },
    confirm: userId =>
      db.transaction().execute(async transaction => {
        const erasures = createErasureRepository(transaction)
        await erasures.empty(userId)
        if (!(await erasures.confirmIdentity(userId))) throw erasureNotFound()
      }),
  }
}
