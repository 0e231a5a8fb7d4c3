import type { User } from '#proto/user/v1/user.ts'
import type { AccountRepository } from '../accounts/account-repository.ts'
import { normalizeEmail } from '../accounts/email-address.ts'
import type { SignUp } from '../accounts/sign-up.ts'
import type { UserDirectory } from '../accounts/user-directory.ts'
import { invalidCredentials } from '../errors.ts'
import type { PasswordHasher } from '../passwords/password-hasher.ts'
import type { SignInThrottle } from '../throttling/sign-in-throttle.ts'
import type { ClientInfo, IssuedTokens, Sessions } from './sessions.ts'

export interface LoginDependencies {
  accounts: Pick<AccountRepository, 'findByEmail' | 'replacePassword'>
  hasher: PasswordHasher
  signUp: Pick<SignUp, 'complete'>
  users: Pick<UserDirectory, 'find'>
  sessions: Pick<Sessions, 'start'>
  throttle: Pick<SignInThrottle, 'attempt'>
}

/**
 * Verifies e-mail address and password, and starts a session. Replaces an outdated password hash, and completes a
 * pending account first.
 * @param signal cancels the request while its password waits for a bcrypt thread.
 * @throws StatusError UNAUTHENTICATED `invalid_credentials` for an unknown address, a wrong password or a deactivated
 *   user, after the same time; UNAVAILABLE if user-svc or Redis is unavailable, or with `overloaded` if too many
 *   passwords wait; RESOURCE_EXHAUSTED `rate_limited` after too many failures from the address of the client; CANCELLED
 *   if `signal` is aborted.
 */
export type Login = (
  credentials: { email: string; password: string },
  client: ClientInfo,
  signal: AbortSignal,
) => Promise<{ tokens: IssuedTokens; user: User }>

export function createLogin(dependencies: LoginDependencies): Login {
  const { accounts, hasher, signUp, users, sessions, throttle } = dependencies

  async function verify(email: string, password: string, signal: AbortSignal) {
    const normalized = normalizeEmail(email)
    const account = normalized === undefined ? undefined : await accounts.findByEmail(normalized)
    const { matches, outdated } = await hasher.verify(password, account?.password, signal)
    if (account === undefined || !matches) throw invalidCredentials()
    // Fetch the user before the session starts: if user-svc is unavailable, sign-in fails and leaves no session.
    const user = account.status === 'pending' ? await signUp.complete(account) : await users.find(account.userId)
    if (user === undefined) throw invalidCredentials()
    return { account, user, outdated }
  }

  return async ({ email, password }, client, signal) => {
    const verified = await throttle.attempt(client.address, signal, () => verify(email, password, signal))
    const { account, user, outdated } = verified
    if (outdated) {
      await accounts.replacePassword(account.userId, account.password, await hasher.hash(password, signal))
    }
    return { tokens: await sessions.start(account.userId, client), user }
  }
}
