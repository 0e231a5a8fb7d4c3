/**
 * Applies the account changes of user-svc: new roles, deactivations, restored users and erasures. Every replica follows
 * the stream; each change is applied once, in one transaction with the cursor.
 *
 * An erasure is applied, then confirmed to user-svc, and only then does the cursor advance. After a crash it is applied
 * and confirmed again, which has no further effect.
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
  users: Pick<UserDirectory, 'watchChanges' | 'confirmErasure'>
  signUp: Pick<SignUp, 'complete'>
  revocations: Pick<Revocations, 'revokeUser' | 'publish'>
  logger: Logger
}

const RECONNECT_MS = 500

/** Follows the account changes of user-svc from the cursor on; after an error, reconnects every 500 ms. */
export function followAccountChanges(dependencies: AccountChangesDependencies): PeriodicTask {
  const { db, users, signUp, revocations, logger } = dependencies
  const stopping = new AbortController()
  let isConnected = true

  async function follow(): Promise<void> {
    try {
      const cursor = await createAccountChangeCursor(db).read()
      for await (const change of users.watchChanges(cursor, stopping.signal)) {
        isConnected = true
        await revocations.publish(await (change.erased ? erase(change) : apply(change)))
      }
    } catch (error) {
      if (stopping.signal.aborted) return
      // Log the first failure only: user-svc may be unavailable for long.
      if (isConnected) logger.warn({ err: error }, 'following account changes of user-svc failed; reconnecting')
      isConnected = false
    }
  }

  /** Applies a change. A restored account may find its e-mail address in use by another account; see `isEmailHeld`. */
  async function apply(change: AccountChange): Promise<Revocation[]> {
    for (;;) {
      try {
        return await applyOnce(change)
      } catch (error) {
        if ((error as { constraint?: string }).constraint !== 'accounts_email') throw error
        if (await isEmailHeld(change.userId)) return skip(change)
      }
    }
  }

  function applyOnce(change: AccountChange): Promise<Revocation[]> {
    return db.transaction().execute(async transaction => {
      if (!(await createAccountChangeCursor(transaction).advance(change.sequence))) return []
      return applyIn(transaction, change)
    })
  }

  async function applyIn(transaction: Kysely<Tables>, change: AccountChange): Promise<Revocation[]> {
    const { userId, closed: isDeactivated } = change
    const role = change.role as Role
    const accounts = createAccountRepository(transaction)
    if (isDeactivated) return deactivate(transaction, userId)
    if (await accounts.restore(userId, role)) {
      logger.info({ userId, role }, 'account restored')
      // Its deactivation has revoked all tokens.
      return []
    }
    if (!(await accounts.changeRole(userId, role))) return []
    logger.info({ userId, role }, 'role of account changed; revoking its access tokens')
    return [await revocations.revokeUser(transaction, userId)]
  }

  async function deactivate(transaction: Kysely<Tables>, userId: string): Promise<Revocation[]> {
    if (!(await createAccountRepository(transaction).deactivate(userId))) return []
    await createSignUpJobs(transaction).cancel(userId)
    await createSessionRepository(transaction).endAll(userId, 'closed')
    logger.info({ userId }, 'account deactivated; its sessions ended')
    return [await revocations.revokeUser(transaction, userId)]
  }

  /**
   * Resolves a conflict over the e-mail address of the account to restore: completes a pending account that has it, or
   * removes it if user-svc, which is authoritative, rejects it.
   * @returns true if another user has the address. user-svc has then deactivated the account again, by a later change.
   */
  async function isEmailHeld(userId: string): Promise<boolean> {
    const accounts = createAccountRepository(db)
    const holder = await accounts.findEmailHolder(userId)
    if (holder?.status !== 'pending') return holder !== undefined
    try {
      if ((await signUp.complete(holder)) !== undefined) return true
      await accounts.deactivate(holder.userId)
    } catch (error) {
      if (!isEmailTaken(error)) throw error
    }
    return false
  }

  async function skip(change: AccountChange): Promise<Revocation[]> {
    await createAccountChangeCursor(db).advance(change.sequence)
    return []
  }

  async function erase(change: AccountChange): Promise<Revocation[]> {
    const { userId } = change
    const revoked = await db.transaction().execute(async transaction => {
      const revocations = await deactivate(transaction, userId)
      await createAccountRepository(transaction).erase(userId)
      await createSessionRepository(transaction).erase(userId)
      return revocations
    })
    await users.confirmErasure(userId)
    logger.info({ userId }, 'account erased')
    await createAccountChangeCursor(db).advance(change.sequence)
    return revoked
  }

  const task = startPeriodicTask({ name: 'account changes', intervalMs: RECONNECT_MS, logger, run: follow })
  return {
    stop() {
      stopping.abort()
      return task.stop()
    },
  }
}
