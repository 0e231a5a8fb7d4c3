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
 * Ends the sessions of the refresh tokens, whatever their generation, and of the access token: a client that presents
 * tokens of several sessions gives up all of them. An invalid token, or one whose session has already ended, is not an
 * error (RFC 7009 section 2.2).
 * @param refreshTokens may contain empty strings.
 * @returns the revocations of the sessions that ended.
 */
export type Logout = (refreshTokens: readonly string[], principal: UserPrincipal | undefined) => Promise<Revocation[]>

export function createLogout({ sessionRepository, refreshTokens, sessions }: LogoutDependencies): Logout {
  async function findSessionId(text: string): Promise<string | undefined> {
    const token = parseRefreshToken(text)
    const nonce = token && (await sessionRepository.findNonce(token.sessionId))
    if (token === undefined || nonce === undefined || !refreshTokens.verify(token, nonce)) return undefined
    return token.sessionId
  }

  return async (refreshTokens, principal) => {
    const found = await Promise.all(refreshTokens.map(findSessionId))
    const sessionIds = new Set([...found, principal?.sessionId])
    const revocations: Revocation[] = []
    for (const sessionId of sessionIds) {
      if (sessionId !== undefined) revocations.push(...(await sessions.end(sessionId, 'logout')))
    }
    return revocations
  }
}
