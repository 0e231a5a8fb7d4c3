/** Sessions: begun at sign-in, kept by refreshing, ended by their user, by theft, or by age. */
import { randomBytes, randomUUIDv7 } from 'node:crypto'
import type { Kysely } from 'kysely'
import { createAccountRepository } from '../accounts/account-repository.ts'
import { invalidCredentials, sessionNotFound } from '../errors.ts'
import type { Revocation } from '../revocations/revocation-repository.ts'
import type { Revocations } from '../revocations/revocations.ts'
import type { EndReason, Tables } from '../tables.ts'
import type { TokenIssuer } from '../tokens/token-issuer.ts'
import type { RefreshFamilies } from './refresh-families.ts'
import type { RefreshTokens } from './refresh-token.ts'
import { createSessionRepository, type SessionRow, type TokenGrounds } from './session-repository.ts'

export interface IssuedTokens {
  readonly accessToken: string
  /** In seconds, as `refreshExpiresIn`. */
  readonly expiresIn: number
  readonly refreshToken: string
  readonly refreshExpiresIn: number
}

/** Who signs in, as the gateway saw them. */
export interface Client {
  address: string
  userAgent: string
}

export interface ListedSession extends SessionRow {
  readonly lastUsedAt: Date
}

export interface Sessions {
  /** @throws StatusError UNAUTHENTICATED when the account has been closed by now, UNAVAILABLE. */
  start(userId: string, client: Client): Promise<IssuedTokens>
  /** The tokens of a session whose refresh token is now of this generation. */
  issue(grounds: TokenGrounds, generation: number): IssuedTokens
  /** Whole milliseconds for which the session's next refresh token is good. */
  refreshTtlMs(grounds: TokenGrounds): number
  /** Those that can still be used, the one last used first. @throws StatusError UNAVAILABLE. */
  list(userId: string): Promise<ListedSession[]>
  /** Ends one session, which has to be the user's. @throws StatusError NOT_FOUND. */
  endOwn(userId: string, sessionId: string): Promise<Revocation[]>
  /** Ends one session, if it has not ended. */
  end(sessionId: string, reason: EndReason): Promise<Revocation[]>
  endAll(userId: string, reason: EndReason): Promise<Revocation[]>
}

export interface SessionsDependencies {
  db: Kysely<Tables>
  families: RefreshFamilies
  refreshTokens: RefreshTokens
  tokens: TokenIssuer
  revocations: Revocations
  refreshTtlMs: number
  sessionTtlMs: number
}

const FIRST_GENERATION = 1
const NONCE_LENGTH = 16
const USER_AGENT_LENGTH = 400

export function createSessions(dependencies: SessionsDependencies): Sessions {
  const { db, families, refreshTokens, tokens, revocations, sessionTtlMs } = dependencies
  const sessions = createSessionRepository(db)

  function refreshTtlMs({ issuedAt, sessionExpiresAt }: TokenGrounds): number {
    return Math.max(1, Math.floor(Math.min(dependencies.refreshTtlMs, sessionExpiresAt - issuedAt)))
  }

  function issue(grounds: TokenGrounds, generation: number): IssuedTokens {
    const { token, expiresIn } = tokens.accessToken(grounds)
    return {
      accessToken: token,
      expiresIn,
      refreshToken: refreshTokens.format(grounds.sessionId, generation, grounds.nonce),
      refreshExpiresIn: Math.floor(refreshTtlMs(grounds) / 1000),
    }
  }

  /** Ends what `change` ends, and tells the gateways. */
  async function revoke(change: (transaction: Kysely<Tables>) => Promise<Revocation[]>): Promise<Revocation[]> {
    const revoked = await db.transaction().execute(change)
    await revocations.publish(revoked)
    return revoked
  }

  function end(sessionId: string, reason: EndReason, userId?: string): Promise<Revocation[]> {
    return revoke(async transaction => {
      const ended = await createSessionRepository(transaction).end(sessionId, reason, userId)
      return ended ? [await revocations.revokeSession(transaction, sessionId)] : []
    })
  }

  return {
    issue,
    refreshTtlMs,
    async start(userId, { address, userAgent }) {
      const sessionId = randomUUIDv7()
      // Redis first: a family without a session opens nothing and expires, a session without one could not be used.
      await families.start(sessionId, Math.min(dependencies.refreshTtlMs, sessionTtlMs))
      const grounds = await sessions.insert({
        sessionId,
        userId,
        nonce: randomBytes(NONCE_LENGTH),
        userAgent: userAgent.slice(0, USER_AGENT_LENGTH),
        address,
        ttlMs: sessionTtlMs,
      })
      if (grounds === undefined) throw invalidCredentials()
      return issue(grounds, FIRST_GENERATION)
    },
    async list(userId) {
      const rows = await sessions.listLive(userId)
      const lastUsed = await families.lastUsed(rows.map(({ id }) => id))
      return rows
        .flatMap(row => {
          const lastUsedAt = lastUsed.get(row.id)
          return lastUsedAt === undefined ? [] : [{ ...row, lastUsedAt }]
        })
        .sort((a, b) => b.lastUsedAt.getTime() - a.lastUsedAt.getTime())
    },
    async endOwn(userId, sessionId) {
      const revoked = await end(sessionId, 'ended', userId)
      if (revoked.length === 0) throw sessionNotFound()
      return revoked
    },
    end: (sessionId, reason) => end(sessionId, reason),
    endAll: (userId, reason) =>
      revoke(async transaction => {
        await createAccountRepository(transaction).lock(userId)
        await createSessionRepository(transaction).endAll(userId, reason)
        return [await revocations.revokeUser(transaction, userId)]
      }),
  }
}
