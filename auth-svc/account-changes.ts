/**
 * Follows what user-svc decides about accounts: roles and closures. Every replica follows; each change is applied once,
 * together with the cursor that says so.
 */
import { type Kysely, sql } from 'kysely'
import type { AccountChange } from '#proto/user/v1/account.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Role } from '#runtime/principal.ts'
import { createAccountRepository } from './account-repository.ts'
import { type Periodic, startPeriodic } from './periodic.ts'
import type { Revocation } from './revocation-repository.ts'
import type { Revocations } from './revocations.ts'
import { createSessionRepository } from './session-repository.ts'
import { createSignUpJobs } from './sign-up-jobs.ts'
import type { Tables } from './tables.ts'
import type { UserDirectory } from './user-directory.ts'

export interface AccountChangesDependencies {
  db: Kysely<Tables>
  users: Pick<UserDirectory, 'changes'>
  revocations: Pick<Revocations, 'revokeUser' | 'publish'>
  logger: Logger
}

const RECONNECT_MS = 500

/** Begins at once, goes on until it is stopped. While user-svc is away it tries again twice a second. */
export function followAccountChanges(dependencies: AccountChangesDependencies): Periodic {
  const { db, users, revocations, logger } = dependencies
  const stopping = new AbortController()
  let isConnected = true

  async function follow(): Promise<void> {
    try {
      for await (const change of users.changes(await readCursor(db), stopping.signal)) {
        isConnected = true
        await revocations.publish(await applyOnce(change))
      }
    } catch (error) {
      if (stopping.signal.aborted) return
      // Once, and not twice a second: user-svc may be away for long.
      if (isConnected) logger.warn({ err: error }, 'account changes cannot be followed right now')
      isConnected = false
    }
  }

  function applyOnce(change: AccountChange): Promise<Revocation[]> {
    return db.transaction().execute(async transaction => {
      if (!(await moveCursor(transaction, change.sequence))) return []
      return applyChange(transaction, change)
    })
  }

  async function applyChange(transaction: Kysely<Tables>, change: AccountChange): Promise<Revocation[]> {
    const { userId, closed } = change
    const accounts = createAccountRepository(transaction)
    const changed = closed ? await accounts.close(userId) : await accounts.changeRole(userId, change.role as Role)
    if (!changed) return []
    if (closed) {
      await createSignUpJobs(transaction).remove(userId)
      await createSessionRepository(transaction).endAll(userId, 'closed')
    }
    logger.info({ userId, role: change.role, closed }, 'an account was changed')
    return [await revocations.revokeUser(transaction, userId)]
  }

  const following = startPeriodic({ name: 'account changes', everyMs: RECONNECT_MS, logger, run: follow })
  return {
    stop() {
      stopping.abort()
      return following.stop()
    },
  }
}

async function readCursor(db: Kysely<Tables>): Promise<bigint> {
  return (await db.selectFrom('account_change_cursor').select('sequence').executeTakeFirstOrThrow()).sequence
}

/** @returns false when it is past there already. */
async function moveCursor(transaction: Kysely<Tables>, sequence: bigint): Promise<boolean> {
  const { numUpdatedRows } = await transaction
    .updateTable('account_change_cursor')
    .set({ sequence: sql`${sequence}` })
    .where('sequence', '<', sequence)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}
