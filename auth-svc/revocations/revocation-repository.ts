import { type Kysely, sql } from 'kysely'
import type { Revocation as RevocationMessage } from '#proto/edge/v1/revocation.ts'
import type { RevocationKind, Tables } from '../tables.ts'

/** A revocation: access tokens that gateways reject. */
export interface Revocation {
  /** Ascending in the order of insertion; concurrent transactions may commit in another order. */
  readonly id: bigint
  /** What `target` identifies: `sid` a session, `jti` one token, `user` all tokens of a user up to `notAfter`. */
  readonly kind: RevocationKind
  readonly target: string
  /** Kind `user`: tokens issued at or before this time are revoked. Null for the other kinds. */
  readonly notAfter: Date | null
  /** Not before the last revoked token expires. The revocation has no effect afterwards. */
  readonly expiresAt: Date
}

/** Revocations in PostgreSQL. Every method rejects with the error of PostgreSQL if a statement fails. */
export interface RevocationRepository {
  /** @param lifetimeMs minimum time until the revocation expires, in milliseconds. */
  insertSession(sessionId: string, lifetimeMs: number): Promise<Revocation>
  /**
   * Revokes every access token issued to a user until now. Takes at least 1 ms. The transaction must hold the lock on
   * the account (`AccountRepository.lock`).
   */
  insertUser(userId: string, lifetimeMs: number): Promise<Revocation>
  /** Lists the revocations with an id above `after` that have not expired, ordered by id. */
  listUnexpired(after: bigint, limit: number): Promise<Revocation[]>
  findNewestUnpublished(): Promise<bigint | undefined>
  /** Rows that another process has locked count as unpublished. */
  isPublishedUpTo(id: bigint): Promise<boolean>
  /** Locks at most `limit` unpublished revocations until the end of the transaction. Skips rows locked by others. */
  lockUnpublished(limit: number): Promise<Revocation[]>
  /** @param ids at least one. */
  markPublished(ids: readonly bigint[]): Promise<void>
  deleteExpired(): Promise<void>
  /** Records a lifetime of access tokens. @returns the longest lifetime recorded so far, in seconds. */
  recordTokenTtl(seconds: number): Promise<number>
}

const COLUMNS = ['id', 'kind', 'target', 'not_after as notAfter', 'expires_at as expiresAt'] as const

/** @param db the database, or the transaction of the change that causes the revocation. */
export function createRevocationRepository(db: Kysely<Tables>): RevocationRepository {
  return {
    insertSession: (sessionId, lifetimeMs) =>
      db
        .insertInto('revocations')
        .values({ kind: 'sid', target: sessionId, expires_at: fromNow(lifetimeMs) })
        .returning(COLUMNS)
        .executeTakeFirstOrThrow(),
    async insertUser(userId, lifetimeMs) {
      const revocation = await db
        .insertInto('revocations')
        .values({
          kind: 'user',
          target: userId,
          not_after: sql`date_trunc('milliseconds', clock_timestamp())`,
          expires_at: fromNow(lifetimeMs),
        })
        .returning(COLUMNS)
        .executeTakeFirstOrThrow()
      // Hold the lock until the next millisecond, so that no token issued later has an `iat` equal to `not_after`.
      await sql`select pg_sleep(0.001)`.execute(db)
      return revocation
    },
    listUnexpired: (after, limit) =>
      db
        .selectFrom('revocations')
        .select(COLUMNS)
        .where('expires_at', '>', sql<Date>`now()`)
        .where('id', '>', sql<bigint>`${after}`)
        .orderBy('id')
        .limit(limit)
        .execute(),
    async findNewestUnpublished() {
      const row = await unpublished(db).select('id').orderBy('id', 'desc').limit(1).executeTakeFirst()
      return row?.id
    },
    async isPublishedUpTo(id) {
      const row = await unpublished(db).select('id').where('id', '<=', sql<bigint>`${id}`).limit(1).executeTakeFirst()
      return row === undefined
    },
    lockUnpublished: limit =>
      unpublished(db).select(COLUMNS).orderBy('id').limit(limit).forUpdate().skipLocked().execute(),
    async markPublished(ids) {
      await db.updateTable('revocations').set({ published_at: sql`now()` }).where('id', 'in', ids).execute()
    },
    async deleteExpired() {
      await db.deleteFrom('revocations').where('expires_at', '<', sql<Date>`now()`).execute()
    },
    async recordTokenTtl(seconds) {
      const { rows } = await sql<{ longest: number }>`
        update boot_records set access_token_ttl_s = greatest(access_token_ttl_s, ${seconds}::integer)
        returning access_token_ttl_s as longest`.execute(db)
      return rows[0]?.longest ?? seconds
    },
  }
}

function unpublished(db: Kysely<Tables>) {
  return db.selectFrom('revocations').where('published_at', 'is', null)
}

/** Also longer than any access token that was ever issued: ACCESS_TOKEN_TTL_S may have been lowered. */
function fromNow(ms: number) {
  const longest = sql`(select (access_token_ttl_s + 60) * 1000 from boot_records)`
  return sql<Date>`clock_timestamp() + greatest(${ms}::float8, ${longest}) * interval '1 millisecond'`
}

export function toRevocationMessage({ kind, target, notAfter, expiresAt }: Revocation): RevocationMessage {
  const cases = { sid: 'sessionId', jti: 'tokenId', user: 'userId' } as const
  return { target: { $case: cases[kind], value: target }, notAfter: notAfter ?? undefined, expiresAt }
}
