/**
 * Revocations of access tokens. A revocation is written to PostgreSQL in the transaction of the change that causes it,
 * and published to the Redis stream after the commit. A periodic pass publishes those for which this failed, and then
 * writes the heartbeat; without a recent heartbeat, gateways consider the stream stale.
 */
import type { Kysely } from 'kysely'
import type { Logger } from '#runtime/observability/logger.ts'
import { limitRepeatedWarnings } from '#runtime/observability/repeated-warnings.ts'
import type { Tables } from '../tables.ts'
import { createRevocationRepository, type Revocation } from './revocation-repository.ts'
import type { RevocationStream } from './revocation-stream.ts'

/** Revoke in the transaction of the change, and publish after its commit. */
export interface Revocations {
  revokeSession(transaction: Kysely<Tables>, sessionId: string): Promise<Revocation>
  /**
   * Revokes every access token issued to a user until now. The transaction must hold the lock on the account
   * (`AccountRepository.lock`, or an update of its row).
   */
  revokeUser(transaction: Kysely<Tables>, userId: string): Promise<Revocation>
  /** Never rejects: after a failure, `publishPending` publishes the revocations. */
  publish(revocations: readonly Revocation[]): Promise<void>
  /**
   * Lists unexpired revocations with an id above `after` (default 0), by id, at most `limit` (default unlimited).
   * @returns `next`: the `after` of the next page; undefined on the last page.
   */
  list(after?: bigint, limit?: number): Promise<{ revocations: Revocation[]; next: bigint | undefined }>
  /**
   * Publishes the unpublished revocations, then writes the heartbeat. Also sets an epoch if the stream has none.
   * @throws the error of Redis or PostgreSQL; the heartbeat is then not written.
   */
  publishPending(): Promise<void>
  deleteExpired(): Promise<void>
}

export interface RevocationsOptions {
  db: Kysely<Tables>
  stream: RevocationStream
  logger: Logger
  /** Lifetime of an access token, in milliseconds. Revocations are kept for a minute longer. */
  tokenTtlMs: number
}

/** The clocks of gateways may be behind, and `exp` is rounded up to a second. */
const CLOCK_SKEW_MS = 60_000

const BATCH_SIZE = 1000

export function createRevocations({ db, stream, logger, tokenTtlMs }: RevocationsOptions): Revocations {
  const warn = limitRepeatedWarnings(logger)
  const repository = createRevocationRepository(db)
  const lifetimeMs = tokenTtlMs + CLOCK_SKEW_MS

  async function publishBatch(): Promise<number> {
    return db.transaction().execute(async transaction => {
      const rows = createRevocationRepository(transaction)
      const unpublished = await rows.lockUnpublished(BATCH_SIZE)
      if (unpublished.length === 0) return 0
      await stream.append(unpublished)
      await rows.markPublished(unpublished.map(({ id }) => id))
      return unpublished.length
    })
  }

  return {
    revokeSession: (transaction, sessionId) =>
      createRevocationRepository(transaction).insertSession(sessionId, lifetimeMs),
    revokeUser: (transaction, userId) => createRevocationRepository(transaction).insertUser(userId, lifetimeMs),
    async publish(revocations) {
      if (revocations.length === 0) return
      try {
        await stream.append(revocations)
        await repository.markPublished(revocations.map(({ id }) => id))
      } catch (error) {
        const key = error instanceof Error ? error.message : ''
        warn(key, { err: error }, 'publishing revocations failed; retrying within about a second')
      }
    },
    async list(after = 0n, limit = Number.MAX_SAFE_INTEGER) {
      const revocations = await repository.listUnexpired(after, limit)
      return { revocations, next: revocations.length === limit ? revocations.at(-1)?.id : undefined }
    },
    async publishPending() {
      await stream.ensureEpoch()
      // Read the time before the query: everything committed by then is visible to it.
      const startedAt = await stream.time()
      const newest = await repository.findNewestUnpublished()
      if (newest !== undefined) {
        while ((await publishBatch()) === BATCH_SIZE);
        if (!(await repository.isPublishedUpTo(newest))) return
      }
      await stream.writeHeartbeat(startedAt)
    },
    deleteExpired: () => repository.deleteExpired(),
  }
}
