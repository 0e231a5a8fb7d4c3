import type { Logger } from '#runtime/observability/logger.ts'
import type { AccountRepository } from './account-repository.ts'
import { normalizeEmail } from './email-address.ts'
import type { SignUp } from './sign-up.ts'

/** What `ensureFirstAdministrator` calls. */
export interface FirstAdministratorDependencies {
  accounts: Pick<AccountRepository, 'findByEmail'>
  signUp: Pick<SignUp, 'start'>
  logger: Logger
}

/** Credentials of the first administrator: the settings `ADMIN_EMAIL` and `ADMIN_PASSWORD`. */
export interface FirstAdministrator {
  email: string
  password: string
}

/**
 * Signs the first administrator up, with the role `admin`. An existing account with this e-mail address keeps its
 * password and its role. user-svc may be unavailable: the sign-up's job completes the account later.
 *
 * @throws StatusError with the errors of `SignUp.start`, for example for a weak password.
 */
export async function ensureFirstAdministrator(
  { accounts, signUp, logger }: FirstAdministratorDependencies,
  { email, password }: FirstAdministrator,
): Promise<void> {
  const normalized = normalizeEmail(email)
  if (normalized !== undefined && (await accounts.findByEmail(normalized)) !== undefined) return
  const account = await signUp.start({ email, password, name: 'Administrator', role: 'admin' })
  logger.info({ userId: account.userId }, 'first administrator signed up')
}
