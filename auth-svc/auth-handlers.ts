import type { AuthServiceServer, GetJwksResponse, Tokens } from '#proto/auth/v1/auth.ts'
import type { User } from '#proto/user/v1/user.ts'
import { SIGNING_ALGORITHM } from '#runtime/auth/token-profile.ts'
import { type Handlers, userOf } from '#runtime/grpc/call.ts'
import type { SignUp } from './accounts/sign-up.ts'
import { emailTaken } from './errors.ts'
import { toRevocationMessage } from './revocations/revocation-repository.ts'
import type { Login } from './sessions/login.ts'
import type { Logout } from './sessions/logout.ts'
import type { Refresh } from './sessions/refresh.ts'
import type { IssuedTokens, Sessions } from './sessions/sessions.ts'
import type { SigningKeys } from './tokens/signing-keys.ts'

export interface AuthHandlersDependencies {
  signUp: Pick<SignUp, 'start' | 'complete'>
  login: Login
  refresh: Refresh
  logout: Logout
  sessions: Pick<Sessions, 'start' | 'list' | 'endOwn' | 'endAll'>
  keys: Pick<SigningKeys, 'jwks'>
}

/** Implements `auth.v1.AuthService`. Each operation documents its own errors. */
export function createAuthHandlers(dependencies: AuthHandlersDependencies): Handlers<AuthServiceServer> {
  const { signUp, login, refresh, logout, sessions, keys } = dependencies

  return {
    async signUp({ email, password, name, tokenDelivery }, { client, signal }) {
      const account = await signUp.start({ email, password, name, role: 'user' }, signal)
      const user = await signUp.complete(account)
      // The user was deactivated meanwhile; its e-mail address is free once the account change has been applied.
      if (user === undefined) throw emailTaken()
      return toTokens(await sessions.start(account.userId, client), tokenDelivery, user)
    },
    async login({ email, password, tokenDelivery }, { client, signal }) {
      const { tokens, user } = await login({ email, password }, client, signal)
      return { result: { $case: 'tokens', value: toTokens(tokens, tokenDelivery, user) } }
    },
    async refresh({ refreshToken, refreshCookie }) {
      // The body takes precedence: a browser also sends its cookie with every request.
      const delivery = refreshToken === '' ? 'cookie' : 'body'
      return toTokens(await refresh(refreshToken || refreshCookie), delivery, undefined)
    },
    async logout({ refreshToken, refreshCookie }, { principal }) {
      const user = principal?.kind === 'user' ? principal : undefined
      const revocations = await logout([refreshToken, refreshCookie], user)
      return {
        revocations: revocations.map(toRevocationMessage),
        refreshCookie: refreshCookie === '' ? undefined : '',
      }
    },
    async listSessions(_, call) {
      const { userId, sessionId } = userOf(call)
      const rows = await sessions.list(userId)
      return { sessions: rows.map(row => ({ ...row, current: row.id === sessionId })) }
    },
    async endSession({ id }, call) {
      const revocations = await sessions.endOwn(userOf(call).userId, id.toLowerCase())
      return { revocations: revocations.map(toRevocationMessage) }
    },
    async endAllSessions(_, call) {
      const revocations = await sessions.endAll(userOf(call).userId, 'ended')
      return { revocations: revocations.map(toRevocationMessage), refreshCookie: '' }
    },
    async getJwks(): Promise<GetJwksResponse> {
      return { keys: keys.jwks.map(jwk => ({ ...jwk, use: 'sig', alg: SIGNING_ALGORITHM })) }
    },
  }
}

/** For `delivery` `cookie`, also if empty, the gateway sets `refreshCookie` as a cookie. */
function toTokens(issued: IssuedTokens, delivery: string, user: User | undefined): Tokens {
  const { accessToken, expiresIn, refreshToken, refreshExpiresIn } = issued
  const delivered = delivery === 'body' ? { refreshToken } : { refreshCookie: refreshToken }
  return { accessToken, expiresIn, tokenType: 'Bearer', user, refreshExpiresIn, ...delivered }
}
