import type { Logger } from '#runtime/observability/logger.ts'
import type { AccountRepository } from './account-repository.ts'
import { normalizeEmail } from './email-address.ts'
import type { SignUp } from './sign-up.ts'

export interface FirstAdministratorDependencies {
  accounts: Pick<AccountRepository, 'findByEmail'>
  signUp: Pick<SignUp, 'start'>
  logger: Logger
}

/** The settings `ADMIN_EMAIL` and `ADMIN_PASSWORD`. */
export interface FirstAdministrator {
  email: string
  password: string
}

/**
 * Signs the first administrator up, with the role `admin`; an existing account keeps its password and its role. The
 * account is pending until its job completes it, so user-svc may be unavailable.
 * @throws StatusError as `SignUp.start` does, for example for a weak password.
 */
export async function ensureFirstAdministrator(
  { accounts, signUp, logger }: FirstAdministratorDependencies,
  { email, password }: FirstAdministrator,
): Promise<void> {
  const normalized = normalizeEmail(email)
  const existing = normalized === undefined ? undefined : await accounts.findByEmail(normalized)
  if (existing !== undefined) {
    const { userId, role } = existing
    if (role !== 'admin') {
      logger.warn(
        { userId, role },
        'ADMIN_EMAIL is not an administrator: the account exists with another role; set another ADMIN_EMAIL, or have an administrator change the role',
      )
    }
    return
  }
  const account = await signUp.start({ email, password, name: 'Administrator', role: 'admin' })
  logger.info({ userId: account.userId }, 'first administrator signed up')
}
