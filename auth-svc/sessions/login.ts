import type { User } from '#proto/user/v1/user.ts'
import type { AccountRepository } from '../accounts/account-repository.ts'
import { normalizeEmail } from '../accounts/email-address.ts'
import type { SignUp } from '../accounts/sign-up.ts'
import type { UserDirectory } from '../accounts/user-directory.ts'
import { invalidCredentials } from '../errors.ts'
import type { PasswordHasher } from '../passwords/password-hasher.ts'
import type { Client, IssuedTokens, Sessions } from './sessions.ts'

export interface LoginDependencies {
  accounts: Pick<AccountRepository, 'findByEmail' | 'replacePassword'>
  hasher: PasswordHasher
  signUp: Pick<SignUp, 'complete'>
  users: Pick<UserDirectory, 'find'>
  sessions: Pick<Sessions, 'start'>
}

/** @throws StatusError UNAUTHENTICATED `invalid_credentials`, UNAVAILABLE. */
export type Login = (
  credentials: { email: string; password: string },
  client: Client,
  signal: AbortSignal,
) => Promise<{ tokens: IssuedTokens; user: User }>

export function createLogin({ accounts, hasher, signUp, users, sessions }: LoginDependencies): Login {
  return async ({ email: given, password }, client, signal) => {
    const email = normalizeEmail(given)
    const account = email === undefined ? undefined : await accounts.findByEmail(email)
    const { matches, outdated } = await hasher.verify(password, account?.password, signal)
    if (account === undefined || !matches) throw invalidCredentials()
    if (outdated) {
      await accounts.replacePassword(account.userId, account.password, await hasher.hash(password, signal))
    }
    // Half an answer would be worse than none: without user-svc nobody signs in, and no session is begun.
    const user = account.status === 'pending' ? await signUp.complete(account) : await users.find(account.userId)
    if (user === undefined) throw invalidCredentials()
    return { tokens: await sessions.start(account.userId, client), user }
  }
}
