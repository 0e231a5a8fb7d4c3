/**
 * Erasure of a user, in two stages.
 *
 * 1. One transaction removes all personal data of the user from this service and writes a receipt. auth-svc reads the
 *    change from the outbox, erases its own data and confirms.
 * 2. After the retention period the emptied rows are purged (retention.ts).
 *
 * A request that is in flight during stage 1 can write content afterwards. The confirmation clears it: at that time every
 * access token of the user is revoked.
 */
import type { Kysely } from 'kysely'
import { Code, StatusError } from '#runtime/status.ts'
import { erasureNotFound, userNotFound } from '../errors.ts'
import type { Tables } from '../tables.ts'
import { assertNotLastAdministrator } from '../users/account-access.ts'
import { lockAccountChanges } from '../users/account-changes.ts'
import { createUserRepository } from '../users/user-repository.ts'
import { createErasureRepository, type ErasureRow } from './erasure-repository.ts'

/** Each method runs its own transaction. */
export interface Erasure {
  /**
   * Runs stage 1; returns the existing receipt if the user is already erased.
   * @throws StatusError NOT_FOUND, FAILED_PRECONDITION `last_administrator`.
   */
  erase(userId: string, requestedBy: string): Promise<ErasureRow>
  /**
   * Runs stage 1 for a user who was deactivated before the given time, without `requested_by`.
   * @returns false if the user was restored or is already erased.
   */
  eraseDeactivated(userId: string, deactivatedBefore: Date): Promise<boolean>
  /** The receipt, which remains after the rows are purged. @throws StatusError NOT_FOUND. */
  find(userId: string): Promise<ErasureRow>
  /** Records that auth-svc has erased its data of the user. @throws StatusError NOT_FOUND. */
  confirm(userId: string): Promise<void>
}

/** @param db its statement timeout must allow the erasure of 10,000 documents. */
export function createErasure(db: Kysely<Tables>): Erasure {
  const receipts = createErasureRepository(db)

  /** @returns undefined if a receipt exists or there is no such user. @throws StatusError and rolls back. */
  function runStage1(userId: string, requestedBy?: string, deactivatedBefore?: Date): Promise<ErasureRow | undefined> {
    return db.transaction().execute(async transaction => {
      const erasures = createErasureRepository(transaction)
      if (!(await erasures.insertReceipt(userId, requestedBy))) return undefined
      const counts = await erasures.clearContent(userId)
      // As late as possible: the lock blocks all other changes of accounts.
      await lockAccountChanges(transaction)
      await assertNotLastAdministrator(createUserRepository(transaction), userId)
      if (!(await erasures.anonymize(userId, requestedBy, deactivatedBefore))) throw userNotFound()
      return erasures.setCounts(userId, counts)
    })
  }

  return {
    async erase(userId, requestedBy) {
      const receipt = (await runStage1(userId, requestedBy)) ?? (await receipts.find(userId))
      if (receipt === undefined) throw userNotFound()
      return receipt
    },
    async eraseDeactivated(userId, deactivatedBefore) {
      try {
        return (await runStage1(userId, undefined, deactivatedBefore)) !== undefined
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
        await erasures.clearContent(userId)
        if (!(await erasures.confirmIdentityErased(userId))) throw erasureNotFound()
      }),
  }
}
