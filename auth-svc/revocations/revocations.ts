/**
 * Revocations: written to PostgreSQL in the transaction of the fact that causes them, sent to the gateways right after
 * it. What a crash or a Redis that was away kept from being sent, the sweep sends. A sweep that left nothing unsent
 * vouches for the stream, so that gateways notice when nobody does.
 */
import type { Kysely } from 'kysely'
import type { Logger } from '#runtime/observability/logger.ts'
import type { Tables } from '../tables.ts'
import { createRevocationRepository, type Revocation } from './revocation-repository.ts'
import type { RevocationStream } from './revocation-stream.ts'

export interface Revocations {
  revokeSession(transaction: Kysely<Tables>, sessionId: string): Promise<Revocation>
  /** The transaction must hold the lock on the account. */
  revokeUser(transaction: Kysely<Tables>, userId: string): Promise<Revocation>
  /** To be called after the commit. Does not fail: what could not be sent is left to the sweep. */
  publish(revocations: readonly Revocation[]): Promise<void>
  /** Those in force after an id, and from where to go on. Without a limit: all. */
  list(after?: bigint, limit?: number): Promise<{ revocations: Revocation[]; next: bigint | undefined }>
  /** Sends what was not sent, and gives a stream that has lost its epoch a new one. @throws as the stores do. */
  sweep(): Promise<void>
  deleteExpired(): Promise<void>
}

export interface RevocationsOptions {
  db: Kysely<Tables>
  stream: RevocationStream
  logger: Logger
  /** Milliseconds that an access token is good for. */
  tokenTtlMs: number
}

/** Gateways' clocks may be behind by that much, and a token's last second is rounded up. */
const SLACK_MS = 60_000

const BATCH = 1000

export function createRevocations({ db, stream, logger, tokenTtlMs }: RevocationsOptions): Revocations {
  const repository = createRevocationRepository(db)
  const keptForMs = tokenTtlMs + SLACK_MS

  async function sweepBatch(): Promise<number> {
    return db.transaction().execute(async transaction => {
      const rows = createRevocationRepository(transaction)
      const unpublished = await rows.lockUnpublished(BATCH)
      if (unpublished.length === 0) return 0
      await stream.append(unpublished)
      await rows.markPublished(unpublished.map(({ id }) => id))
      return unpublished.length
    })
  }

  return {
    revokeSession: (transaction, sessionId) =>
      createRevocationRepository(transaction).insertSession(sessionId, keptForMs),
    revokeUser: (transaction, userId) => createRevocationRepository(transaction).insertUser(userId, keptForMs),
    async publish(revocations) {
      if (revocations.length === 0) return
      try {
        await stream.append(revocations)
        await repository.markPublished(revocations.map(({ id }) => id))
      } catch (error) {
        logger.warn({ err: error }, 'revocations were not sent to the gateways; they will be')
      }
    },
    async list(after = 0n, limit = Number.MAX_SAFE_INTEGER) {
      const revocations = await repository.listInForce(after, limit)
      return { revocations, next: revocations.length === limit ? revocations.at(-1)?.id : undefined }
    },
    async sweep() {
      await stream.ensureEpoch()
      // Before the look into the database: all that is committed by then is seen there.
      const began = await stream.time()
      const newest = await repository.newestUnpublished()
      if (newest !== undefined) {
        while ((await sweepBatch()) === BATCH);
        if (!(await repository.isPublishedUpTo(newest))) return
      }
      await stream.vouch(began)
    },
    deleteExpired: () => repository.deleteExpired(),
  }
}
