import { type Kysely, sql } from 'kysely'
import type { Revocation as RevocationMessage } from '#proto/edge/v1/revocation.ts'
import type { RevocationKind, Tables } from '../tables.ts'

/** Tokens that are no longer accepted: of a session, of a user up to a time, or one alone. */
export interface Revocation {
  readonly id: bigint
  readonly kind: RevocationKind
  readonly target: string
  readonly notAfter: Date | null
  /** When the last token that it concerns has expired. */
  readonly expiresAt: Date
}

export interface RevocationRepository {
  insertSession(sessionId: string, tokenTtlMs: number): Promise<Revocation>
  /**
   * Of every token that was issued to the user up to now. To be called in the transaction that holds the lock on the
   * account, when it does.
   */
  insertUser(userId: string, tokenTtlMs: number): Promise<Revocation>
  /** Those that concern a token which has not expired, after an id and in the order of ids. */
  listInForce(after: bigint, limit: number): Promise<Revocation[]>
  /** The highest id that the stream does not have. */
  newestUnpublished(): Promise<bigint | undefined>
  /** Whether the stream has all up to an id, those that another process is sending at the moment too. */
  isPublishedUpTo(id: bigint): Promise<boolean>
  /** Those that the stream does not have, locked until the end of the transaction; what others hold is skipped. */
  lockUnpublished(limit: number): Promise<Revocation[]>
  markPublished(ids: readonly bigint[]): Promise<void>
  deleteExpired(): Promise<void>
}

const COLUMNS = ['id', 'kind', 'target', 'not_after as notAfter', 'expires_at as expiresAt'] as const

export function createRevocationRepository(db: Kysely<Tables>): RevocationRepository {
  return {
    insertSession: (sessionId, tokenTtlMs) =>
      db
        .insertInto('revocations')
        .values({ kind: 'sid', target: sessionId, expires_at: inMilliseconds(tokenTtlMs) })
        .returning(COLUMNS)
        .executeTakeFirstOrThrow(),
    async insertUser(userId, tokenTtlMs) {
      const revocation = await db
        .insertInto('revocations')
        .values({
          kind: 'user',
          target: userId,
          not_after: sql`date_trunc('milliseconds', clock_timestamp())`,
          expires_at: inMilliseconds(tokenTtlMs),
        })
        .returning(COLUMNS)
        .executeTakeFirstOrThrow()
      // The lock is held until the clock shows another millisecond: the next token is then not taken for one of before.
      await sql`select pg_sleep(0.001)`.execute(db)
      return revocation
    },
    listInForce: (after, limit) =>
      db
        .selectFrom('revocations')
        .select(COLUMNS)
        .where('expires_at', '>', sql<Date>`now()`)
        .where('id', '>', sql<bigint>`${after}`)
        .orderBy('id')
        .limit(limit)
        .execute(),
    async newestUnpublished() {
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
  }
}

function unpublished(db: Kysely<Tables>) {
  return db.selectFrom('revocations').where('published_at', 'is', null)
}

function inMilliseconds(ms: number) {
  return sql<Date>`clock_timestamp() + ${ms} * interval '1 millisecond'`
}

export function toRevocationMessage({ kind, target, notAfter, expiresAt }: Revocation): RevocationMessage {
  const cases = { sid: 'sessionId', jti: 'tokenId', user: 'userId' } as const
  return { target: { $case: cases[kind], value: target }, notAfter: notAfter ?? undefined, expiresAt }
}
