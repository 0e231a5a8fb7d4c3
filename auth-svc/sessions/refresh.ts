/** Exchanges a refresh token for new tokens, and tells when one is used that somebody else may have. */
import type { Logger } from '#runtime/observability/logger.ts'
import { refreshTokenInvalid, refreshTokenReused, sessionEnded } from '../errors.ts'
import type { RefreshFamilies, ReuseClass } from './refresh-families.ts'
import { parseRefreshToken, type RefreshTokens } from './refresh-token.ts'
import type { SessionRepository } from './session-repository.ts'
import type { IssuedTokens, Sessions } from './sessions.ts'

export interface RefreshDependencies {
  sessions: Sessions
  rows: Pick<SessionRepository, 'findForRefresh'>
  families: Pick<RefreshFamilies, 'rotate'>
  refreshTokens: RefreshTokens
  logger: Logger
  onReuse: (reuse: ReuseClass) => void
  /** What ends when a token is used again: all the user's sessions, or that session. */
  reuseScope: 'user' | 'session'
}

/** @throws StatusError UNAUTHENTICATED, or UNAVAILABLE, after which the same token still works. */
export type Refresh = (refreshToken: string) => Promise<IssuedTokens>

export function createRefresh(dependencies: RefreshDependencies): Refresh {
  const { sessions, rows, families, refreshTokens, logger, onReuse, reuseScope } = dependencies

  async function endAfterReuse(userId: string, sessionId: string, reuse: ReuseClass): Promise<void> {
    onReuse(reuse)
    logger.warn({ userId, sessionId, reuse, scope: reuseScope }, 'a refresh token was used again')
    if (reuseScope === 'user') await sessions.endAll(userId, 'reuse')
    else await sessions.end(sessionId, 'reuse')
  }

  return async text => {
    const token = parseRefreshToken(text)
    if (token === undefined) throw refreshTokenInvalid()
    const { sessionId, generation } = token
    const session = await rows.findForRefresh(sessionId)
    // Redis is asked for genuine tokens of live sessions only; what is made up costs one query.
    if (session === undefined || !refreshTokens.isGenuine(token, session.nonce)) throw refreshTokenInvalid()
    if (!session.isLive) throw sessionEnded()

    const outcome = await families.rotate(sessionId, generation, sessions.refreshTtlMs(session))
    if (outcome.kind === 'lost') {
      logger.info({ userId: session.userId, sessionId }, 'a refresh token has no family any more')
      throw sessionEnded()
    }
    if (outcome.kind === 'reused') {
      await endAfterReuse(session.userId, sessionId, outcome.reuse)
      throw refreshTokenReused()
    }
    return sessions.issue(session, outcome.generation)
  }
}
