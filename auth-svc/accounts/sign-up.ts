/**
 * Sign-up across two services, safe against a crash at any point:
 *
 * 1. One transaction inserts the pending account and schedules the job that completes it.
 * 2. user-svc creates the user under the id of the account, so that a repeated call is harmless.
 * 3. One transaction makes the account active and cancels the job.
 *
 * After a crash, steps 2 and 3 are resumed by the job, by the same sign-up request, or by a sign-in.
 */
// The default export, so that an older Node.js loads this module and `boot` can report its version.
import crypto from 'node:crypto'
import type { Kysely } from 'kysely'
import type { User } from '#proto/user/v1/user.ts'
import type { Role } from '#runtime/auth/principal.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { badEmail, emailTaken, weakPassword } from '../errors.ts'
import type { PasswordHasher } from '../passwords/password-hasher.ts'
import type { PasswordStrength } from '../passwords/password-strength.ts'
import type { Tables } from '../tables.ts'
import { type Account, createAccountRepository } from './account-repository.ts'
import { normalizeEmail } from './email-address.ts'
import { createSignUpJobs } from './sign-up-jobs.ts'
import type { UserDirectory } from './user-directory.ts'

/** A sign-up that satisfies the validation rules of the contract. */
export interface SignUpRequest {
  /** Not normalized yet. */
  email: string
  password: string
  name: string
  role: Role
}

export interface SignUp {
  /**
   * Step 1. A repeated request with the same address and password returns the existing account, for ten minutes.
   * @param signal cancels the request while its password waits for a bcrypt thread.
   * @throws StatusError INVALID_ARGUMENT for an invalid e-mail address or a weak password; ALREADY_EXISTS
   *   `email_taken`; UNAVAILABLE `overloaded` if too many passwords wait; CANCELLED if `signal` is aborted.
   */
  start(request: SignUpRequest, signal?: AbortSignal): Promise<Account>
  /**
   * Steps 2 and 3. Idempotent.
   * @returns undefined if the user has been deactivated.
   * @throws StatusError ALREADY_EXISTS `email_taken` if another user of user-svc has the address; the pending account
   *   is then deleted. UNAVAILABLE if user-svc fails; the account stays pending.
   */
  complete(account: Account): Promise<User | undefined>
  /** Completes an account if it is pending; the job runs this. @throws StatusError as `complete` does. */
  completePending(userId: string): Promise<void>
  /**
   * Schedules the job again for every account that has been pending for more than a minute: graphile-worker retries a
   * job whose worker crashed only after 4 hours.
   */
  reschedulePending(): Promise<void>
}

export interface SignUpDependencies {
  db: Kysely<Tables>
  hasher: PasswordHasher
  strength: Pick<PasswordStrength, 'findWeakness'>
  users: Pick<UserDirectory, 'create'>
  /** Time in which the request completes the account before the job does, in milliseconds. Default 5,000. */
  jobDelayMs?: number
}

const REPEAT_WINDOW_MS = 10 * 60_000
const STALLED_MS = 60_000

export function createSignUp(dependencies: SignUpDependencies): SignUp {
  const { db, hasher, strength, users, jobDelayMs = 5000 } = dependencies
  const accounts = createAccountRepository(db)

  async function start(request: SignUpRequest, signal?: AbortSignal): Promise<Account> {
    const email = normalizeEmail(request.email)
    if (email === undefined) throw badEmail()
    const { password, name, role } = request
    const weakness = await strength.findWeakness(password, { email, name })
    if (weakness !== undefined) throw weakPassword(weakness)

    const existing = await accounts.findByEmail(email)
    if (existing !== undefined) return verifyRepeated(existing, password, signal)
    const userId = crypto.randomUUIDv7()
    const stored = await hasher.hash(password, signal)
    await db.transaction().execute(async transaction => {
      const account = { userId, email, password: stored, role, name }
      if (!(await createAccountRepository(transaction).insertPending(account))) return
      await createSignUpJobs(transaction).schedule(userId, { delayMs: jobDelayMs })
    })
    const account = await accounts.findByEmail(email)
    // The account was deactivated right after the insert.
    if (account === undefined) throw emailTaken()
    return account.userId === userId ? account : verifyRepeated(account, password, signal)
  }

  /** Accepts a repeated sign-up if it is recent and has the same password. */
  async function verifyRepeated(account: Account, password: string, signal?: AbortSignal): Promise<Account> {
    if (account.ageMs > REPEAT_WINDOW_MS) throw emailTaken()
    const { matches } = await hasher.verify(password, account.password, signal)
    if (!matches) throw emailTaken()
    return account
  }

  async function complete({ userId: id, email, signUpName: name, role }: Account): Promise<User | undefined> {
    try {
      const user = await users.create({ id, email, name, role })
      // A deactivated user stays pending here until the account change of user-svc arrives.
      if (user !== undefined) await finish(id, transaction => createAccountRepository(transaction).activate(id))
      return user
    } catch (error) {
      // user-svc has this e-mail address under another id, so this account can never be completed.
      if (error instanceof StatusError && error.code === Code.ALREADY_EXISTS) {
        await finish(id, transaction => createAccountRepository(transaction).deletePending(id))
      }
      throw error
    }
  }

  /** Applies `change` and cancels the job, in one transaction. */
  function finish(userId: string, change: (transaction: Kysely<Tables>) => Promise<void>): Promise<void> {
    return db.transaction().execute(async transaction => {
      await change(transaction)
      await createSignUpJobs(transaction).cancel(userId)
    })
  }

  return {
    start,
    complete,
    async completePending(userId) {
      const account = await accounts.findById(userId)
      if (account?.status === 'pending') await complete(account)
    },
    async reschedulePending() {
      for (const userId of await accounts.listPending(STALLED_MS)) {
        await createSignUpJobs(db).schedule(userId, { delayMs: 0 })
      }
    },
  }
}
