/**
 * The Redis stream by which every gateway learns of revocations. It is a carrier, not the truth: what it loses is in
 * PostgreSQL. Its epoch marks its identity; where that is gone or another, gateways ask for all there is. Its heartbeat
 * says up to when it has everything, in milliseconds by Redis' clock: that of a gateway may differ.
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

// 100 a second for the 15 minutes of an access token; about 20 MB.
const LENGTH = 100_000

export interface RevocationStream {
  /** @throws as Redis does, or answers. */
  append(revocations: readonly Revocation[]): Promise<void>
  /** Gives the stream an epoch unless it has one. */
  ensureEpoch(): Promise<void>
  /** Redis' clock, in milliseconds since the epoch. */
  time(): Promise<number>
  /** To be called once everything that was committed at that time is in the stream. */
  vouch(completeAt: number): Promise<void>
}

export function createRevocationStream(redis: Redis): RevocationStream {
  return {
    async append(revocations) {
      const pipeline = redis.pipeline()
      for (const revocation of revocations)
        pipeline.xadd(REVOCATION_STREAM, 'MAXLEN', '~', LENGTH, '*', ...fieldsOf(revocation))
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
    async vouch(completeAt) {
      await redis.set(REVOCATION_HEARTBEAT, completeAt)
    },
  }
}

/** Times in milliseconds since the epoch. */
function fieldsOf({ kind, target, notAfter, expiresAt }: Revocation): string[] {
  const always = [FIELDS.kind, kind, FIELDS.id, target, FIELDS.expiresAt, String(expiresAt.getTime())]
  return notAfter === null ? always : [...always, FIELDS.notAfter, String(notAfter.getTime())]
}
