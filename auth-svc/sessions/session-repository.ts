import { CompiledQuery, type Kysely, sql } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'
import { type Prepare, prepareIn } from '#runtime/postgres/prepared-statements.ts'
import type { EndReason, Tables } from '../tables.ts'
import type { SessionClaims } from '../tokens/token-issuer.ts'

/** Claims of the access tokens and nonce of the refresh tokens of a session. */
export interface SessionRecord extends SessionClaims {
  /** 16 random bytes. */
  readonly nonce: Uint8Array
}

export interface NewSession {
  sessionId: string
  userId: string
  /** 16 random bytes. */
  nonce: Uint8Array
  userAgent: string
  address: string
  ttlMs: number
}

export interface SessionSummary {
  readonly id: string
  readonly userAgent: string
  readonly address: string
  readonly createdAt: Date
  readonly expiresAt: Date
}

/** A stored session, active or not, without its credentials. */
export interface StoredSession extends SessionSummary {
  /** Null for a session that was not ended, even if it has expired. */
  readonly endedAt: Date | null
  readonly endReason: EndReason | null
}

/** Sessions in PostgreSQL. Every method rejects with the error of PostgreSQL if a statement fails. */
export interface SessionRepository {
  /** Locks the account row, see `INSERT`. @returns undefined if the account is not active. */
  insert(session: NewSession): Promise<SessionRecord | undefined>
  /** Locks the account row, see `INSERT`. Issue no token unless `isActive`. @returns undefined without session. */
  findForRefresh(sessionId: string): Promise<(SessionRecord & { isActive: boolean }) | undefined>
  /** Also for a session that has ended. */
  findNonce(sessionId: string): Promise<Uint8Array | undefined>
  /** Sessions that have neither ended nor expired, newest first, at most 200. */
  listActive(userId: string): Promise<SessionSummary[]>
  /**
   * All sessions of a user by id, a UUIDv7 and thus in the order of creation.
   * @param after id of the last session of the previous page; undefined for the first page.
   */
  listStored(userId: string, after: string | undefined, limit: number): Promise<StoredSession[]>
  /**
   * @param userId if given, the session must belong to this user.
   * @returns false if there is no such session, or it has already ended or expired.
   */
  end(sessionId: string, reason: EndReason, userId?: string): Promise<boolean>
  /** The transaction must hold the lock on the account (`AccountRepository.lock`). */
  endAll(userId: string, reason: EndReason): Promise<void>
  /** Erases the addresses and user agents of all sessions of a user. */
  erase(userId: string): Promise<void>
  /** A day after they have expired. */
  deleteExpired(): Promise<void>
}

/** Bounds the response for a client that signs in repeatedly without signing out. */
const MAX_LISTED = 200

const SUMMARY_COLUMNS = [
  'id',
  'user_agent as userAgent',
  'address',
  'created_at as createdAt',
  'expires_at as expiresAt',
] as const

/**
 * Both queries first lock the account row against a change of its role, then read the clock. A token with the old role
 * is thus covered by the `not_after` of its revocation, and one with the new role is issued after it. After waiting for
 * the lock, PostgreSQL reads the changed row and the clock again.
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

// A row lock makes the transaction a write, whose commit would wait for the disk. Nothing here must survive a crash.
const FIND_FOR_REFRESH = `
select session.id, account.user_id, account.role, account.email, session.refresh_nonce,
  account.status = 'active' and session.ended_at is null and session.expires_at > clock_timestamp() as is_active,
  floor(extract(epoch from clock_timestamp()) * 1000)::float8 as issued_at,
  (extract(epoch from session.created_at) * 1000)::float8 as authenticated_at,
  (extract(epoch from session.expires_at) * 1000)::float8 as expires_at,
  set_config('synchronous_commit', 'off', true)
from sessions as session join accounts as account using (user_id)
where session.id = $1
for share of account, session`

/** @param db the database or a transaction. */
export function createSessionRepository(db: Kysely<Tables>, prepare: Prepare = prepareIn(db)): SessionRepository {
  const findForRefresh = prepare<SessionAccountRow & { is_active: boolean }>(() => CompiledQuery.raw(FIND_FOR_REFRESH))

  return {
    async insert({ sessionId, userId, nonce, userAgent, address, ttlMs }) {
      const parameters = [sessionId, userId, nonce, userAgent, address, ttlMs]
      const { rows } = await db.executeQuery<SessionAccountRow>(CompiledQuery.raw(INSERT, parameters))
      return rows[0] && toSessionRecord(rows[0])
    },
    async findForRefresh(sessionId) {
      const [row] = await findForRefresh(sessionId)
      return row && { ...toSessionRecord(row), isActive: row.is_active }
    },
    async findNonce(sessionId) {
      const row = await db.selectFrom('sessions').select('refresh_nonce').where('id', '=', sessionId).executeTakeFirst()
      return row?.refresh_nonce
    },
    listActive: userId =>
      db
        .selectFrom('sessions')
        .select(SUMMARY_COLUMNS)
        .where('user_id', '=', userId)
        .where('ended_at', 'is', null)
        .where('expires_at', '>', sql<Date>`now()`)
        .orderBy('created_at', 'desc')
        .limit(MAX_LISTED)
        .execute(),
    listStored: (userId, after, limit) =>
      db
        .selectFrom('sessions')
        .select([...SUMMARY_COLUMNS, 'ended_at as endedAt', 'end_reason as endReason'])
        .where('user_id', '=', userId)
        .$if(after !== undefined, query => query.where('id', '>', after as string))
        .orderBy('id')
        .limit(limit)
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

interface SessionAccountRow {
  id: string
  user_id: string
  role: Role
  email: string
  refresh_nonce: Buffer
  issued_at: number
  authenticated_at: number
  expires_at: number
}

function toSessionRecord(row: SessionAccountRow): SessionRecord {
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
