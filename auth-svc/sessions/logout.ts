import type { UserPrincipal } from '#runtime/auth/principal.ts'
import type { Revocation } from '../revocations/revocation-repository.ts'
import { parseRefreshToken, type RefreshTokens } from './refresh-token.ts'
import type { SessionRepository } from './session-repository.ts'
import type { Sessions } from './sessions.ts'

export interface LogoutDependencies {
  rows: Pick<SessionRepository, 'findNonce'>
  refreshTokens: RefreshTokens
  sessions: Pick<Sessions, 'end'>
}

/**
 * Ends the session of the refresh token, of any generation, or else of the access token. What is not valid or has ended
 * ends nothing, and is no error (RFC 7009 section 2.2).
 */
export type Logout = (refreshToken: string, principal: UserPrincipal | undefined) => Promise<Revocation[]>

export function createLogout({ rows, refreshTokens, sessions }: LogoutDependencies): Logout {
  async function sessionOf(text: string): Promise<string | undefined> {
    const token = parseRefreshToken(text)
    const nonce = token && (await rows.findNonce(token.sessionId))
    if (token === undefined || nonce === undefined || !refreshTokens.isGenuine(token, nonce)) return undefined
    return token.sessionId
  }

  return async (refreshToken, principal) => {
    const sessionId = (await sessionOf(refreshToken)) ?? principal?.sessionId
    return sessionId === undefined ? [] : sessions.end(sessionId, 'logout')
  }
}
