/**
 * The Redis stream that distributes revocations to gateways. PostgreSQL is the source of truth: what Redis loses is
 * published again or read from a snapshot.
 *
 * - The epoch identifies one life of the Redis data. If it is missing or changes, gateways fetch a snapshot.
 * - The heartbeat is the time up to which the stream is complete, by the clock of Redis, because the clocks of gateways
 *   may differ.
 */
import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import {
  REVOCATION_FIELDS as FIELDS,
  REVOCATION_EPOCH,
  REVOCATION_HEARTBEAT,
  REVOCATION_STREAM,
} from '#runtime/auth/revocation-stream.ts'
import type { Revocation } from './revocation-repository.ts'

// 100 per second for the 15 minutes of an access token; about 20 MB.
const MAX_LENGTH = 100_000

/** Every method rejects with the error of Redis if Redis is unavailable. */
export interface RevocationStream {
  /** Appends entries, and trims the stream to about 100,000 entries. @throws if any entry could not be appended. */
  append(revocations: readonly Revocation[]): Promise<void>
  /** Sets a new random epoch unless the stream has one. */
  ensureEpoch(): Promise<void>
  /** The clock of Redis, in milliseconds since the Unix epoch. */
  time(): Promise<number>
  /** @param completeUntil a result of `time`; every revocation committed before it has been appended. */
  writeHeartbeat(completeUntil: number): Promise<void>
}

export function createRevocationStream(redis: Redis): RevocationStream {
  return {
    async append(revocations) {
      const pipeline = redis.pipeline()
      for (const revocation of revocations) {
        pipeline.xadd(REVOCATION_STREAM, 'MAXLEN', '~', MAX_LENGTH, '*', ...toFields(revocation))
      }
      const replies = (await pipeline.exec()) ?? []
      const failed = replies.find(([error]) => error !== null)
      if (failed !== undefined) throw failed[0]
    },
    async ensureEpoch() {
      await redis.set(REVOCATION_EPOCH, randomUUID(), 'NX')
    },
    async time() {
      const [seconds, microseconds] = await redis.time()
      return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
    },
    async writeHeartbeat(completeUntil) {
      await redis.set(REVOCATION_HEARTBEAT, completeUntil)
    },
  }
}

/** Times are in milliseconds since the Unix epoch. */
function toFields({ kind, target, notAfter, expiresAt }: Revocation): string[] {
  const fields = [FIELDS.kind, kind, FIELDS.id, target, FIELDS.expiresAt, String(expiresAt.getTime())]
  return notAfter === null ? fields : [...fields, FIELDS.notAfter, String(notAfter.getTime())]
}
