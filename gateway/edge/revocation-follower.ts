/**
 * Keeps the revocation set true: a snapshot of auth-svc, then the tail of the Redis stream.
 *
 * The position in the stream is read before the snapshot, so that nothing falls between the two; what comes twice does no
 * harm. The stream's epoch tells one stream from another: when Redis was flushed or replaced, the epoch is gone or
 * different, and a new snapshot is taken.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { Logger } from '#runtime/logger.ts'
import type { RevocationSet } from './revocations.ts'

const STREAM = 'gatehouse:revocations'
const EPOCH = 'gatehouse:revocations:epoch'

// An idle read returns this often, and with it the proof that nothing was missed.
const BLOCK_MS = 500

export interface RevocationFollowerOptions {
  /** A connection of its own: it blocks. */
  redis: Redis
  /** All revocations in force, from auth-svc. */
  snapshot: () => Promise<readonly Revocation[]>
  set: RevocationSet
  logger: Logger
  now?: () => number
}

export interface RevocationFollower {
  /** Milliseconds since the set was last known to be complete. */
  blindFor(): number
  stop(): Promise<void>
}

export function followRevocations(options: RevocationFollowerOptions): RevocationFollower {
  const { redis, snapshot, set, logger, now = Date.now } = options
  const stopping = new AbortController()
  let completeAt = Number.NEGATIVE_INFINITY

  /** One life of the stream: returns when another must be begun, throws when Redis or auth-svc cannot be had. */
  async function follow(): Promise<void> {
    const epoch = await redis.get(EPOCH)
    if (epoch === null) throw new Error('auth-svc has not begun a revocation stream')
    const [newest] = await redis.xrevrange(STREAM, '+', '-', 'COUNT', 1)
    let position = newest?.[0] ?? '0-0'
    // Added to what is known: a revocation that was applied here while the snapshot was on its way must not be lost.
    for (const revocation of await snapshot()) set.add(revocation)
    completeAt = now()
    logger.info({ entries: set.size }, 'revocations are known')

    while (!stopping.signal.aborted) {
      const readAt = now()
      const [read, epochNow] = await readOn(position)
      if (epochNow !== epoch) return
      for (const [id, fields] of read) {
        const revocation = fromEntry(fields)
        if (revocation === undefined) logger.error({ id }, 'a revocation could not be read')
        else set.add(revocation)
        position = id
      }
      // Entries written while the read was under way may still be on their way.
      completeAt = readAt
    }
  }

  async function readOn(position: string): Promise<[Entry[], string | null]> {
    const results = await redis
      .pipeline()
      .xread('COUNT', 1000, 'BLOCK', BLOCK_MS, 'STREAMS', STREAM, position)
      .get(EPOCH)
      .exec()
    const [[readError, read], [epochError, epoch]] = results as [
      [Error | null, [string, Entry[]][] | null],
      [Error | null, string | null],
    ]
    if (readError ?? epochError) throw readError ?? epochError
    return [read?.[0]?.[1] ?? [], epoch]
  }

  async function run(): Promise<void> {
    let isFailing = false
    while (!stopping.signal.aborted) {
      try {
        await follow()
        isFailing = false
      } catch (error) {
        if (stopping.signal.aborted) return
        if (!isFailing) logger.warn({ err: error }, 'revocations cannot be followed')
        isFailing = true
        await delay(250, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
  }

  const running = run()
  return {
    blindFor: () => now() - completeAt,
    async stop() {
      stopping.abort()
      redis.disconnect()
      await running
    },
  }
}

type Entry = [id: string, fields: string[]]

function fromEntry(fields: readonly string[]): Revocation | undefined {
  const entry: Record<string, string | undefined> = {}
  for (let at = 0; at < fields.length; at += 2) entry[fields[at] ?? ''] = fields[at + 1]
  const target = targetOf(entry['kind'], entry['id'] ?? '')
  const notAfter = dateOf(entry['not_after'])
  const expiresAt = dateOf(entry['expires_at'])
  const isWhole = expiresAt !== undefined && (target?.$case !== 'userId' || notAfter !== undefined)
  return target !== undefined && isWhole ? { target, notAfter, expiresAt } : undefined
}

function targetOf(kind: string | undefined, value: string): Revocation['target'] {
  if (value === '') return undefined
  if (kind === 'sid') return { $case: 'sessionId', value }
  if (kind === 'jti') return { $case: 'tokenId', value }
  return kind === 'user' ? { $case: 'userId', value } : undefined
}

function dateOf(milliseconds: string | undefined): Date | undefined {
  const time = Number(milliseconds || Number.NaN)
  return Number.isFinite(time) ? new Date(time) : undefined
}
