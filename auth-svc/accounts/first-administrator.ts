import type { Logger } from '#runtime/observability/logger.ts'
import type { AccountRepository } from './account-repository.ts'
import { normalizeEmail } from './email-address.ts'
import type { SignUp } from './sign-up.ts'

export interface FirstAdministratorDependencies {
  accounts: Pick<AccountRepository, 'findByEmail'>
  signUp: Pick<SignUp, 'begin'>
  logger: Logger
}

/**
 * Signs the administrator up unless the address has an account, whose password and role then stay as they are. The job
 * of the sign-up completes it: user-svc need not be there yet.
 * @throws StatusError as a sign-up does, such as for a password that is easy to guess.
 */
export async function ensureFirstAdministrator(
  { accounts, signUp, logger }: FirstAdministratorDependencies,
  { email, password }: { email: string; password: string },
): Promise<void> {
  const known = normalizeEmail(email)
  if (known !== undefined && (await accounts.findByEmail(known)) !== undefined) return
  const account = await signUp.begin({ email, password, name: 'Administrator', role: 'admin' })
  logger.info({ userId: account.userId }, 'the first administrator was signed up')
}
