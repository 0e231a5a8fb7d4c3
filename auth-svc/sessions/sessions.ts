/** Sessions: started at sign-in, continued by refresh, ended by the user, by reuse of a refresh token, or by expiry. */
// The default export, so that an older Node.js loads this module and `boot` can report its version.
import crypto, { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { createAccountRepository } from '../accounts/account-repository.ts'
import { invalidCredentials, sessionNotFound } from '../errors.ts'
import type { Revocation } from '../revocations/revocation-repository.ts'
import type { Revocations } from '../revocations/revocations.ts'
import type { EndReason, Tables } from '../tables.ts'
import type { TokenIssuer } from '../tokens/token-issuer.ts'
import type { RefreshFamilies } from './refresh-families.ts'
import type { RefreshTokens } from './refresh-token.ts'
import {
  createSessionRepository,
  type SessionRecord,
  type SessionSummary,
  type StoredSession,
} from './session-repository.ts'

/** Tokens as returned to the client. Lifetimes are in seconds. */
export interface IssuedTokens {
  readonly accessToken: string
  readonly expiresIn: number
  readonly refreshToken: string
  readonly refreshExpiresIn: number
}

/** The client of a sign-in, as the gateway reports it. Shown to the user; only the limit of failures depends on it. */
export interface ClientInfo {
  address: string
  /** Stored up to 400 characters. */
  userAgent: string
}

/** An active session with the time of its last refresh. */
export interface ListedSession extends SessionSummary {
  readonly lastUsedAt: Date
}

/** A page of all sessions of a user. */
export interface StoredSessionsPage {
  /** `lastUsedAt` is undefined once the refresh token family has expired. */
  readonly sessions: readonly (StoredSession & { readonly lastUsedAt: Date | undefined })[]
  /** Id of the last session; undefined on the last page. */
  readonly next: string | undefined
}

/** Methods that end sessions return their revocations, and have published them unless Redis is unavailable. */
export interface Sessions {
  /**
   * @throws StatusError UNAUTHENTICATED `invalid_credentials` if the account is not active, for example deactivated
   *   after its password had been verified; UNAVAILABLE if Redis is unavailable.
   */
  start(userId: string, client: ClientInfo): Promise<IssuedTokens>
  /** @param generation of the refresh token. */
  issueTokens(session: SessionRecord, generation: number): IssuedTokens
  /** Lifetime of the next refresh token, in whole milliseconds, at least 1. */
  refreshTtlMs(session: SessionRecord): number
  /** The last used first. @throws StatusError UNAVAILABLE if Redis is unavailable. */
  list(userId: string): Promise<ListedSession[]>
  /**
   * All sessions of the user, also those that have ended or expired; at most 100 per page, earliest first.
   * @param after `next` of the previous page.
   * @throws StatusError UNAVAILABLE if Redis is unavailable.
   */
  listStored(userId: string, after: string | undefined): Promise<StoredSessionsPage>
  /** @throws StatusError NOT_FOUND if the user has no such active session. */
  endOwn(userId: string, sessionId: string): Promise<Revocation[]>
  /** @returns an empty array if the session is not active. */
  end(sessionId: string, reason: EndReason): Promise<Revocation[]>
  /** Also revokes every access token issued to the user until now. */
  endAll(userId: string, reason: EndReason): Promise<Revocation[]>
}

export interface SessionsDependencies {
  db: Kysely<Tables>
  families: Pick<RefreshFamilies, 'start' | 'findLastUsed'>
  refreshTokens: Pick<RefreshTokens, 'format'>
  tokens: Pick<TokenIssuer, 'accessToken'>
  revocations: Pick<Revocations, 'revokeSession' | 'revokeUser' | 'publish'>
  /** Lifetime of an unused refresh token, in milliseconds. Cut at the end of the session. */
  refreshTtlMs: number
  /** Maximum lifetime of a session, in milliseconds. */
  sessionTtlMs: number
}

const FIRST_GENERATION = 1
const NONCE_LENGTH = 16
const MAX_USER_AGENT_LENGTH = 400
const STORED_PAGE_SIZE = 100

export function createSessions(dependencies: SessionsDependencies): Sessions {
  const { db, families, refreshTokens, tokens, revocations, sessionTtlMs } = dependencies
  const repository = createSessionRepository(db)

  function refreshTtlMs({ issuedAt, sessionExpiresAt }: SessionRecord): number {
    return Math.max(1, Math.floor(Math.min(dependencies.refreshTtlMs, sessionExpiresAt - issuedAt)))
  }

  function issueTokens(session: SessionRecord, generation: number): IssuedTokens {
    const { token, expiresIn } = tokens.accessToken(session)
    return {
      accessToken: token,
      expiresIn,
      refreshToken: refreshTokens.format(session.sessionId, generation, session.nonce),
      refreshExpiresIn: Math.floor(refreshTtlMs(session) / 1000),
    }
  }

  /** Runs `change` in a transaction and publishes the revocations that it returns. */
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
    issueTokens,
    refreshTtlMs,
    async start(userId, { address, userAgent }) {
      const sessionId = crypto.randomUUIDv7()
      // Create the family first: without a session it grants nothing and expires, but a session needs it to be
      // refreshed.
      await families.start(sessionId, Math.min(dependencies.refreshTtlMs, sessionTtlMs))
      const session = await repository.insert({
        sessionId,
        userId,
        nonce: randomBytes(NONCE_LENGTH),
        userAgent: userAgent.slice(0, MAX_USER_AGENT_LENGTH),
        address,
        ttlMs: sessionTtlMs,
      })
      if (session === undefined) throw invalidCredentials()
      return issueTokens(session, FIRST_GENERATION)
    },
    async list(userId) {
      const rows = await repository.listActive(userId)
      const lastUsed = await families.findLastUsed(rows.map(({ id }) => id))
      return rows
        .flatMap(row => {
          const lastUsedAt = lastUsed.get(row.id)
          return lastUsedAt === undefined ? [] : [{ ...row, lastUsedAt }]
        })
        .sort((a, b) => b.lastUsedAt.getTime() - a.lastUsedAt.getTime())
    },
    async listStored(userId, after) {
      // The extra row shows that another page follows.
      const rows = await repository.listStored(userId, after, STORED_PAGE_SIZE + 1)
      const page = rows.slice(0, STORED_PAGE_SIZE)
      const lastUsed = await families.findLastUsed(page.map(({ id }) => id))
      return {
        sessions: page.map(row => ({ ...row, lastUsedAt: lastUsed.get(row.id) })),
        next: rows.length > STORED_PAGE_SIZE ? page.at(-1)?.id : undefined,
      }
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
