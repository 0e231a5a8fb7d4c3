import type { UserPrincipal } from '#runtime/auth/principal.ts'
import type { Revocation } from '../revocations/revocation-repository.ts'
import { parseRefreshToken, type RefreshTokens } from './refresh-token.ts'
import type { SessionRepository } from './session-repository.ts'
import type { Sessions } from './sessions.ts'

export interface LogoutDependencies {
  sessionRepository: Pick<SessionRepository, 'findNonce'>
  refreshTokens: Pick<RefreshTokens, 'verify'>
  sessions: Pick<Sessions, 'end'>
}

/**
 * Ends the session of the refresh token, whatever its generation; without a valid refresh token, that of the access
 * token. An invalid token, or one whose session has already ended, is not an error (RFC 7009 section 2.2).
 * @param refreshToken the empty string if the request has none.
 * @returns the revocation of the session that ended, or an empty array.
 */
export type Logout = (refreshToken: string, principal: UserPrincipal | undefined) => Promise<Revocation[]>

export function createLogout({ sessionRepository, refreshTokens, sessions }: LogoutDependencies): Logout {
  async function findSessionId(text: string): Promise<string | undefined> {
    const token = parseRefreshToken(text)
    const nonce = token && (await sessionRepository.findNonce(token.sessionId))
    if (token === undefined || nonce === undefined || !refreshTokens.verify(token, nonce)) return undefined
    return token.sessionId
  }

  return async (refreshToken, principal) => {
    const sessionId = (await findSessionId(refreshToken)) ?? principal?.sessionId
    return sessionId === undefined ? [] : sessions.end(sessionId, 'logout')
  }
}
