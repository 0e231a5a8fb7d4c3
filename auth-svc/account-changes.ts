/**
 * Applies the account changes of user-svc: new roles, deactivations, restored users and erasures. Every replica follows
 * the stream; each change is applied once, in one transaction with the cursor.
 *
 * An erasure is applied, then confirmed to user-svc, and only then does the cursor advance. After a crash it is applied
 * and confirmed again, which has no further effect.
 *
 * A change that fails five times is set aside, so that later changes are applied. It is applied again every minute until
 * that succeeds or a later change of the same user supersedes it. Failures while a dependency is unavailable do not count.
 */
import type { Kysely } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { toStatusError } from '#runtime/postgres/errors.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { createAccountChangeCursor } from './accounts/account-change-cursor.ts'
import { createAccountRepository } from './accounts/account-repository.ts'
import { createFailedAccountChanges, type FailedAccountChange } from './accounts/failed-account-changes.ts'
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
  /** Called for each change that is set aside. */
  onSetAside: () => void
  /** Interval at which changes that were set aside are applied again, in milliseconds. Default 60,000. */
  retryMs?: number
}

const RECONNECT_MS = 500
const MAX_ATTEMPTS = 5

/**
 * Marks a change as applied, as part of the transaction that applies it.
 * @returns false if it has been applied already.
 */
type Claim = (db: Kysely<Tables>) => Promise<boolean>

/** Follows the account changes of user-svc from the cursor on; after an error, reconnects every 500 ms. */
export function followAccountChanges(dependencies: AccountChangesDependencies): PeriodicTask {
  const { db, users, signUp, revocations, logger, onSetAside, retryMs = 60_000 } = dependencies
  const stopping = new AbortController()
  let isFailing = false
  let failed = { sequence: 0n, attempts: 0 }

  async function follow(): Promise<void> {
    try {
      const cursor = await createAccountChangeCursor(db).read()
      for await (const change of users.watchChanges(cursor, stopping.signal)) {
        await process(change)
        isFailing = false
      }
    } catch (error) {
      if (stopping.signal.aborted) return
      // Log the first failure only: user-svc may be unavailable for long.
      if (!isFailing) logger.warn({ err: error }, 'following account changes of user-svc failed; reconnecting')
      isFailing = true
    }
  }

  /** Applies a change, or sets it aside at the last attempt. @throws the error of the other attempts. */
  async function process(change: FailedAccountChange): Promise<void> {
    const { sequence } = change
    try {
      await publishAll(change, transaction => createAccountChangeCursor(transaction).advance(sequence))
    } catch (error) {
      if (isOutage(error)) throw error
      failed = { sequence, attempts: failed.sequence === sequence ? failed.attempts + 1 : 1 }
      if (failed.attempts < MAX_ATTEMPTS) throw error
      await setAside(change, error)
    }
  }

  async function setAside(change: FailedAccountChange, error: unknown): Promise<void> {
    const { sequence, userId } = change
    const isSetAside = await db.transaction().execute(async transaction => {
      if (!(await createAccountChangeCursor(transaction).advance(sequence))) return false
      const changes = createFailedAccountChanges(transaction)
      await changes.removeSuperseded(userId, sequence)
      await changes.put(change, error, MAX_ATTEMPTS)
      return true
    })
    if (!isSetAside) return
    onSetAside()
    logger.error({ err: error, userId, sequence: String(sequence) }, 'account change set aside; see `make doctor`')
  }

  /** Applies the changes that were set aside. */
  async function retryFailed(): Promise<void> {
    const changes = createFailedAccountChanges(db)
    for (const change of await changes.list()) {
      if (stopping.signal.aborted) return
      const { sequence, userId } = change
      try {
        await publishAll(change, transaction => createFailedAccountChanges(transaction).remove(sequence))
        logger.info({ userId, sequence: String(sequence) }, 'account change applied after it was set aside')
      } catch (error) {
        if (isOutage(error)) throw error
        await changes.put(change, error, 1)
      }
    }
  }

  async function publishAll(change: FailedAccountChange, claim: Claim): Promise<void> {
    await revocations.publish(await (change.erased ? erase(change, claim) : apply(change, claim)))
  }

  /** Applies a change. A restored account may find its e-mail address in use by another account; see `isEmailHeld`. */
  async function apply(change: FailedAccountChange, claim: Claim): Promise<Revocation[]> {
    for (;;) {
      try {
        return await applyOnce(change, claim)
      } catch (error) {
        if ((error as { constraint?: string }).constraint !== 'accounts_email') throw error
        if (!(await isEmailHeld(change.userId))) continue
        await claim(db)
        return []
      }
    }
  }

  function applyOnce(change: FailedAccountChange, claim: Claim): Promise<Revocation[]> {
    return db.transaction().execute(async transaction => {
      if (!(await claim(transaction))) return []
      await createFailedAccountChanges(transaction).removeSuperseded(change.userId, change.sequence)
      return applyIn(transaction, change)
    })
  }

  async function applyIn(transaction: Kysely<Tables>, change: FailedAccountChange): Promise<Revocation[]> {
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

  async function erase({ userId, sequence }: FailedAccountChange, claim: Claim): Promise<Revocation[]> {
    const revoked = await db.transaction().execute(async transaction => {
      await createFailedAccountChanges(transaction).removeSuperseded(userId, sequence)
      const revocations = await deactivate(transaction, userId)
      await createAccountRepository(transaction).erase(userId)
      await createSessionRepository(transaction).erase(userId)
      return revocations
    })
    await users.confirmErasure(userId)
    logger.info({ userId }, 'account erased')
    await claim(db)
    return revoked
  }

  const tasks = [
    startPeriodicTask({ name: 'account changes', intervalMs: RECONNECT_MS, logger, run: follow }),
    startPeriodicTask({ name: 'failed account changes', intervalMs: retryMs, logger, run: retryFailed }),
  ]
  return {
    async stop() {
      stopping.abort()
      await Promise.all(tasks.map(task => task.stop()))
    },
  }
}

/** Whether a dependency is unavailable, so that every other change would fail as well. */
function isOutage(thrown: unknown): boolean {
  const error = toStatusError(thrown)
  // An error of user-svc is the cause of `usersUnavailable`.
  const cause = error instanceof StatusError && error.cause instanceof StatusError ? error.cause : error
  return cause instanceof StatusError && (cause.code === Code.UNAVAILABLE || cause.code === Code.CANCELLED)
}
