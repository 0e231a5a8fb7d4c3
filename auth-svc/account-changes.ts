/**
 * Follows what user-svc decides about accounts: roles, closures, that a closed one is open again, and erasures. Every
 * replica follows; each change is applied once, together with the cursor that says so.
 *
 * An erasure is first applied, then confirmed, then passed: a crash in between has all of it done again, which changes
 * nothing.
 */
import type { Kysely } from 'kysely'
import type { AccountChange } from '#proto/user/v1/account.ts'
import type { Role } from '#runtime/auth/principal.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { createAccountChangeCursor } from './accounts/account-change-cursor.ts'
import { createAccountRepository } from './accounts/account-repository.ts'
import type { SignUp } from './accounts/sign-up.ts'
import { createSignUpJobs } from './accounts/sign-up-jobs.ts'
import type { UserDirectory } from './accounts/user-directory.ts'
import { isEmailTaken } from './errors.ts'
import { type PeriodicTask, startPeriodicTask } from './periodic-task.ts'
import type { Revocation } from './revocations/revocation-repository.ts'
import type { Revocations } from './revocations/revocations.ts'
import { createSessionRepository } from './sessions/session-repository.ts'
import type { Tables } from './tables.ts'

export interface AccountChangesDependencies {
  db: Kysely<Tables>
  users: Pick<UserDirectory, 'changes' | 'confirmErasure'>
  signUp: Pick<SignUp, 'complete'>
  revocations: Pick<Revocations, 'revokeUser' | 'publish'>
  logger: Logger
}

const RECONNECT_MS = 500

/** Begins at once, goes on until it is stopped. While user-svc is away it tries again twice a second. */
export function followAccountChanges(dependencies: AccountChangesDependencies): PeriodicTask {
  const { db, users, signUp, revocations, logger } = dependencies
  const stopping = new AbortController()
  let isConnected = true

  async function follow(): Promise<void> {
    try {
      for await (const change of users.changes(await createAccountChangeCursor(db).read(), stopping.signal)) {
        isConnected = true
        await revocations.publish(await (change.erased ? erase(change) : apply(change)))
      }
    } catch (error) {
      if (stopping.signal.aborted) return
      // Once, and not twice a second: user-svc may be away for long.
      if (isConnected) logger.warn({ err: error }, 'account changes cannot be followed right now')
      isConnected = false
    }
  }

  async function apply(change: AccountChange): Promise<Revocation[]> {
    for (;;) {
      try {
        return await applyOnce(change)
      } catch (error) {
        if ((error as { constraint?: string }).constraint !== 'accounts_email') throw error
        if (await hasSuccessor(change.userId)) return pass(change)
      }
    }
  }

  function applyOnce(change: AccountChange): Promise<Revocation[]> {
    return db.transaction().execute(async transaction => {
      if (!(await createAccountChangeCursor(transaction).advance(change.sequence))) return []
      return applyChange(transaction, change)
    })
  }

  async function applyChange(transaction: Kysely<Tables>, change: AccountChange): Promise<Revocation[]> {
    const { userId, closed } = change
    const role = change.role as Role
    const accounts = createAccountRepository(transaction)
    if (closed) return close(transaction, userId)
    const isReopened = await accounts.reopen(userId, role)
    if (!isReopened && !(await accounts.changeRole(userId, role))) return []
    logger.info({ userId, role, isReopened }, 'an account was changed')
    // At its closure all that was issued was revoked.
    return isReopened ? [] : [await revocations.revokeUser(transaction, userId)]
  }

  async function close(transaction: Kysely<Tables>, userId: string): Promise<Revocation[]> {
    if (!(await createAccountRepository(transaction).close(userId))) return []
    await createSignUpJobs(transaction).remove(userId)
    await createSessionRepository(transaction).endAll(userId, 'closed')
    logger.info({ userId }, 'an account was closed')
    return [await revocations.revokeUser(transaction, userId)]
  }

  /**
   * Whether the address of an account that was opened again is rightly another's. A sign-up that holds it is completed,
   * or ends here: user-svc has the last word on addresses. Where somebody else has become a user with it, the account
   * that was opened again must have been closed since, and a later change says so.
   */
  async function hasSuccessor(userId: string): Promise<boolean> {
    const accounts = createAccountRepository(db)
    const successor = await accounts.findSuccessor(userId)
    if (successor?.status !== 'pending') return successor !== undefined
    try {
      if ((await signUp.complete(successor)) !== undefined) return true
      await accounts.close(successor.userId)
    } catch (error) {
      if (!isEmailTaken(error)) throw error
    }
    return false
  }

  async function pass(change: AccountChange): Promise<Revocation[]> {
    await createAccountChangeCursor(db).advance(change.sequence)
    return []
  }

  async function erase(change: AccountChange): Promise<Revocation[]> {
    const { userId } = change
    const ended = await db.transaction().execute(async transaction => {
      const revoked = await close(transaction, userId)
      await createAccountRepository(transaction).erase(userId)
      await createSessionRepository(transaction).erase(userId)
      return revoked
    })
    await users.confirmErasure(userId)
    logger.info({ userId }, 'an account was erased')
    await pass(change)
    return ended
  }

  const following = startPeriodicTask({ name: 'account changes', intervalMs: RECONNECT_MS, logger, run: follow })
  return {
    stop() {
      stopping.abort()
      return following.stop()
    },
  }
}
