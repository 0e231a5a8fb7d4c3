/** Exchanges a refresh token for new tokens, and ends sessions when a token is reused (RFC 9700 section 4.14.2). */
import type { Logger } from '#runtime/observability/logger.ts'
import { refreshTokenInvalid, refreshTokenReused, sessionEnded } from '../errors.ts'
import type { RefreshFamilies, ReuseClass } from './refresh-families.ts'
import { parseRefreshToken, type RefreshTokens } from './refresh-token.ts'
import type { SessionRepository } from './session-repository.ts'
import type { IssuedTokens, Sessions } from './sessions.ts'

export interface RefreshDependencies {
  sessions: Pick<Sessions, 'issueTokens' | 'refreshTtlMs' | 'end' | 'endAll'>
  sessionRepository: Pick<SessionRepository, 'findForRefresh'>
  families: Pick<RefreshFamilies, 'rotate'>
  refreshTokens: Pick<RefreshTokens, 'verify'>
  logger: Logger
  /** Called once for each reused token, before sessions end. */
  onReuse: (reuse: ReuseClass) => void
  /** Sessions that end when a token is reused. */
  reuseScope: 'user' | 'session'
}

/**
 * Rotates the refresh token and issues new tokens for its session. A retry within the grace period returns the same
 * refresh token and a new access token.
 * @throws StatusError UNAUTHENTICATED `refresh_token_invalid`, `refresh_token_reused` or `session_ended`.
 * @throws StatusError UNAVAILABLE if Redis or PostgreSQL is unavailable. The token is then still valid.
 */
export type Refresh = (refreshToken: string) => Promise<IssuedTokens>

export function createRefresh(dependencies: RefreshDependencies): Refresh {
  const { sessions, sessionRepository, families, refreshTokens, logger, onReuse, reuseScope } = dependencies

  async function endSessionsAfterReuse(userId: string, sessionId: string, reuse: ReuseClass): Promise<void> {
    onReuse(reuse)
    const consequence = reuseScope === 'user' ? 'ending all sessions of the user' : 'ending its session'
    logger.warn({ userId, sessionId, reuse, scope: reuseScope }, `refresh token reused; ${consequence}`)
    if (reuseScope === 'user') await sessions.endAll(userId, 'reuse')
    else await sessions.end(sessionId, 'reuse')
  }

  return async text => {
    const token = parseRefreshToken(text)
    if (token === undefined) throw refreshTokenInvalid()
    const { sessionId, generation } = token
    const session = await sessionRepository.findForRefresh(sessionId)
    // Verify before calling Redis: a forged token costs one indexed query and cannot touch a family.
    if (session === undefined || !refreshTokens.verify(token, session.nonce)) throw refreshTokenInvalid()
    if (!session.isActive) throw sessionEnded()

    const outcome = await families.rotate(sessionId, generation, sessions.refreshTtlMs(session))
    if (outcome.kind === 'lost') {
      logger.info({ userId: session.userId, sessionId }, 'refresh token family lost in Redis; the user must sign in')
      throw sessionEnded()
    }
    if (outcome.kind === 'reused') {
      await endSessionsAfterReuse(session.userId, sessionId, outcome.reuse)
      throw refreshTokenReused()
    }
    return sessions.issueTokens(session, outcome.generation)
  }
}
