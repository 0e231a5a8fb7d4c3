import { CompiledQuery, type Kysely, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { type Prepare, prepareIn } from '#runtime/postgres/prepared-statements.ts'
import type { EndReason, Tables } from '../tables.ts'

/** What a token is made of. Times are in milliseconds since the epoch, by PostgreSQL's clock. */
export interface TokenGrounds {
  readonly userId: string
  readonly sessionId: string
  readonly role: Role
  readonly email: string
  readonly nonce: Uint8Array
  readonly issuedAt: number
  readonly authenticatedAt: number
  readonly sessionExpiresAt: number
}

export interface NewSession {
  sessionId: string
  userId: string
  nonce: Uint8Array
  userAgent: string
  address: string
  ttlMs: number
}

export interface SessionRow {
  readonly id: string
  readonly userAgent: string
  readonly address: string
  readonly createdAt: Date
  readonly expiresAt: Date
}

export interface SessionRepository {
  /** Undefined when the account is not active, or no longer. */
  insert(session: NewSession): Promise<TokenGrounds | undefined>
  /** Undefined when there is no such session; `isLive` says whether tokens may be issued to it. */
  findForRefresh(sessionId: string): Promise<(TokenGrounds & { isLive: boolean }) | undefined>
  findNonce(sessionId: string): Promise<Uint8Array | undefined>
  /** The latest sessions that have neither ended nor reached their age. */
  listLive(userId: string): Promise<SessionRow[]>
  /** @param userId whose session it must be, where that matters. @returns whether there was one to end. */
  end(sessionId: string, reason: EndReason, userId?: string): Promise<boolean>
  endAll(userId: string, reason: EndReason): Promise<void>
  /** Forgets from where and with what the sessions were begun. */
  erase(userId: string): Promise<void>
  /** Forgets sessions that would have expired by now. */
  deleteExpired(): Promise<void>
}

/** Nobody looks through more, and a client that signs in again and again must not make the answer grow. */
const LISTED_AT_MOST = 200

/**
 * In both queries the account's row is locked against a change of its role, first of all, and the clock is read within
 * the lock. A token with the old role is thus issued before the change, and revoked by its `not_after`; one with the new
 * role after it. (A row that changed while the lock was waited for is read again, the clock with it.)
 */
const INSERT = `
with account as (
  select user_id, role, email from accounts where user_id = $2 and status = 'active' for share
), session as (
  insert into sessions (id, user_id, refresh_nonce, user_agent, address, created_at, expires_at)
  select $1, user_id, $3, $4, $5, date_trunc('milliseconds', clock_timestamp()),
    clock_timestamp() + $6 * interval '1 millisecond'
  from account
  returning *
)
select session.id, account.user_id, account.role, account.email, session.refresh_nonce,
  (extract(epoch from session.created_at) * 1000)::float8 as issued_at,
  (extract(epoch from session.created_at) * 1000)::float8 as authenticated_at,
  (extract(epoch from session.expires_at) * 1000)::float8 as expires_at
from session, account`

// A row lock is a write, whose commit would wait for the disk; but there is nothing here that must survive a crash.
const FIND_FOR_REFRESH = `
select session.id, account.user_id, account.role, account.email, session.refresh_nonce,
  account.status = 'active' and session.ended_at is null and session.expires_at > clock_timestamp() as is_live,
  floor(extract(epoch from clock_timestamp()) * 1000)::float8 as issued_at,
  (extract(epoch from session.created_at) * 1000)::float8 as authenticated_at,
  (extract(epoch from session.expires_at) * 1000)::float8 as expires_at,
  set_config('synchronous_commit', 'off', true)
from sessions as session join accounts as account using (user_id)
where session.id = $1
for share of account, session`

/** @param db the database or a transaction. */
export function createSessionRepository(db: Kysely<Tables>, prepare: Prepare = prepareIn(db)): SessionRepository {
  const findForRefresh = prepare<GroundsRow & { is_live: boolean }>(() => CompiledQuery.raw(FIND_FOR_REFRESH))

  return {
    async insert({ sessionId, userId, nonce, userAgent, address, ttlMs }) {
      const parameters = [sessionId, userId, nonce, userAgent, address, ttlMs]
      const { rows } = await db.executeQuery<GroundsRow>(CompiledQuery.raw(INSERT, parameters))
      return rows[0] && toGrounds(rows[0])
    },
    async findForRefresh(sessionId) {
      const [row] = await findForRefresh(sessionId)
      return row && { ...toGrounds(row), isLive: row.is_live }
    },
    async findNonce(sessionId) {
      const row = await db.selectFrom('sessions').select('refresh_nonce').where('id', '=', sessionId).executeTakeFirst()
      return row?.refresh_nonce
    },
    listLive: userId =>
      db
        .selectFrom('sessions')
        .select(['id', 'user_agent as userAgent', 'address', 'created_at as createdAt', 'expires_at as expiresAt'])
        .where('user_id', '=', userId)
        .where('ended_at', 'is', null)
        .where('expires_at', '>', sql<Date>`now()`)
        .orderBy('created_at', 'desc')
        .limit(LISTED_AT_MOST)
        .execute(),
    async end(sessionId, reason, userId) {
      const { numUpdatedRows } = await db
        .updateTable('sessions')
        .set({ ended_at: sql`now()`, end_reason: reason })
        .where('id', '=', sessionId)
        .where('ended_at', 'is', null)
        .where('expires_at', '>', sql<Date>`now()`)
        .$if(userId !== undefined, query => query.where('user_id', '=', userId as string))
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async endAll(userId, reason) {
      await db
        .updateTable('sessions')
        .set({ ended_at: sql`now()`, end_reason: reason })
        .where('user_id', '=', userId)
        .where('ended_at', 'is', null)
        .execute()
    },
    async erase(userId) {
      await db.updateTable('sessions').set({ user_agent: '', address: '' }).where('user_id', '=', userId).execute()
    },
    async deleteExpired() {
      await db.deleteFrom('sessions').where('expires_at', '<', sql<Date>`now() - interval '1 day'`).execute()
    },
  }
}

interface GroundsRow {
  id: string
  user_id: string
  role: Role
  email: string
  refresh_nonce: Buffer
  issued_at: number
  authenticated_at: number
  expires_at: number
}

function toGrounds(row: GroundsRow): TokenGrounds {
  return {
    userId: row.user_id,
    sessionId: row.id,
    role: row.role,
    email: row.email,
    nonce: row.refresh_nonce,
    issuedAt: row.issued_at,
    authenticatedAt: row.authenticated_at,
    sessionExpiresAt: row.expires_at,
  }
}
