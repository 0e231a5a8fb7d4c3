/**
 * Sign-up across two services, safe against a crash at any point:
 *
 * 1. one transaction inserts the pending account and the job that would complete it;
 * 2. user-svc creates the user, under the account's id, which makes a repetition harmless;
 * 3. one transaction activates the account and removes the job.
 *
 * Whoever comes next goes on where the last one was stopped: the job, the same request again, or a sign-in.
 */
import { randomUUIDv7 } from 'node:crypto'
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

export interface SignUpRequest {
  email: string
  password: string
  name: string
  role: Role
}

export interface SignUp {
  /**
   * Step 1. Within ten minutes the same address and password answer the account that is there.
   * @throws StatusError INVALID_ARGUMENT, ALREADY_EXISTS `email_taken`, UNAVAILABLE `overloaded`.
   */
  begin(request: SignUpRequest, signal?: AbortSignal): Promise<Account>
  /**
   * Steps 2 and 3. Does no harm to an account that is complete.
   * @returns undefined when the account has been closed by now.
   * @throws StatusError ALREADY_EXISTS `email_taken`, UNAVAILABLE.
   */
  complete(account: Account): Promise<User | undefined>
  /** The same for the job, which has nobody to answer to. */
  resume(userId: string): Promise<void>
  /** Gives every sign-up that has been left a job again: the worker holds on to one that it died over for hours. */
  adopt(): Promise<void>
}

export interface SignUpDependencies {
  db: Kysely<Tables>
  hasher: PasswordHasher
  strength: Pick<PasswordStrength, 'complaintAbout'>
  users: Pick<UserDirectory, 'create'>
  /** Milliseconds that are left to the request before the job takes over. */
  jobDelayMs?: number
}

const SAME_REQUEST_MS = 10 * 60_000
const ABANDONED_MS = 60_000

export function createSignUp(dependencies: SignUpDependencies): SignUp {
  const { db, hasher, strength, users, jobDelayMs = 5000 } = dependencies
  const accounts = createAccountRepository(db)

  async function begin(request: SignUpRequest, signal?: AbortSignal): Promise<Account> {
    const email = normalizeEmail(request.email)
    if (email === undefined) throw badEmail()
    const { password, name, role } = request
    const complaint = await strength.complaintAbout(password, { email, name })
    if (complaint !== undefined) throw weakPassword(complaint)

    const known = await accounts.findByEmail(email)
    if (known !== undefined) return sameRequest(known, password, signal)
    const userId = randomUUIDv7()
    const stored = await hasher.hash(password, signal)
    await db.transaction().execute(async transaction => {
      const account = { userId, email, password: stored, role, name }
      if (!(await createAccountRepository(transaction).insertPending(account))) return
      await createSignUpJobs(transaction).add(userId, { delayMs: jobDelayMs })
    })
    const account = await accounts.findByEmail(email)
    // Only a closure can have come in between.
    if (account === undefined) throw emailTaken()
    return account.userId === userId ? account : sameRequest(account, password, signal)
  }

  async function sameRequest(account: Account, password: string, signal?: AbortSignal): Promise<Account> {
    if (account.ageMs > SAME_REQUEST_MS) throw emailTaken()
    const { matches } = await hasher.verify(password, account.password, signal)
    if (!matches) throw emailTaken()
    return account
  }

  async function complete({ userId: id, email, signUpName: name, role }: Account): Promise<User | undefined> {
    try {
      const user = await users.create({ id, email, name, role })
      // What becomes of a closed one, the changes of user-svc will tell.
      if (user !== undefined) await finish(id, transaction => createAccountRepository(transaction).activate(id))
      return user
    } catch (error) {
      // user-svc knows the address under another id: this account can never become one.
      if (error instanceof StatusError && error.code === Code.ALREADY_EXISTS) {
        await finish(id, transaction => createAccountRepository(transaction).deletePending(id))
      }
      throw error
    }
  }

  function finish(userId: string, change: (transaction: Kysely<Tables>) => Promise<void>): Promise<void> {
    return db.transaction().execute(async transaction => {
      await change(transaction)
      await createSignUpJobs(transaction).remove(userId)
    })
  }

  return {
    begin,
    complete,
    async resume(userId) {
      const account = await accounts.findById(userId)
      if (account?.status === 'pending') await complete(account)
    },
    async adopt() {
      for (const userId of await accounts.listPending(ABANDONED_MS)) {
        await createSignUpJobs(db).add(userId, { delayMs: 0 })
      }
    },
  }
}
