/**
 * The erasure of a user, in two stages. The first, in one transaction, takes all that is personal and leaves the receipt;
 * auth-svc, which learns of it by the outbox, takes its part and confirms. The second, when the retention is over, deletes
 * the emptied rows (retention.ts).
 *
 * What a request that was under way writes for the user after the first stage, the confirmation takes: by then no token of
 * the user is good any more.
 */
import type { Kysely } from 'kysely'
import { assertNotLastAdministrator } from './account-access.ts'
import { lockAccountChanges } from './account-changes.ts'
import { createErasureRepository, type ErasureRow } from './erasure-repository.ts'
import { erasureNotFound, userNotFound } from './errors.ts'
import type { Tables } from './tables.ts'
import { createUserRepository } from './user-repository.ts'

export interface Erasure {
  /**
   * The first stage. Again, it answers the receipt that is there.
   * @param requestedBy undefined when the retention is over.
   * @throws StatusError NOT_FOUND, FAILED_PRECONDITION `last_administrator`.
   */
  erase(userId: string, requestedBy: string | undefined): Promise<ErasureRow>
  /** Also when the rows are gone. @throws StatusError NOT_FOUND. */
  find(userId: string): Promise<ErasureRow>
  /** auth-svc has done its part. @throws StatusError NOT_FOUND. */
  confirm(userId: string): Promise<void>
}

/** @param db in which a statement may take as long as ten thousand documents do. */
export function createErasure(db: Kysely<Tables>): Erasure {
  const receipts = createErasureRepository(db)

  return {
    async erase(userId, requestedBy) {
      const receipt = await db.transaction().execute(async transaction => {
        const erasures = createErasureRepository(transaction)
        if (!(await erasures.open(userId, requestedBy))) return undefined
        const counts = await erasures.empty(userId)
        // Late, since all other changes of accounts wait from here on.
        await lockAccountChanges(transaction)
        await assertNotLastAdministrator(createUserRepository(transaction), userId)
        await erasures.anonymise(userId, requestedBy)
        return erasures.complete(userId, counts)
      })
      const known = receipt ?? (await receipts.find(userId))
      if (known === undefined) throw userNotFound()
      return known
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
