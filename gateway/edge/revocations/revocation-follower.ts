/**
 * Keeps the in-memory revocation set in sync with auth-svc.
 *
 * Start-up: read the stream position, fetch a snapshot from auth-svc, then tail the Redis stream from that position.
 * Entries delivered twice are harmless. If the stream epoch changes (Redis was flushed or replaced) or the stream has
 * been trimmed past our position, the follower takes a new snapshot.
 *
 * Two failures can hide a revocation; each has a bound after which access tokens are rejected:
 * - Redis unreachable: 30 s (`MAX_STALE_MS`), because logouts may have completed elsewhere.
 * - No heartbeat for 10 s: the follower fetches a snapshot from auth-svc, which is just as complete. If auth-svc is
 *   down, the bound is longer (`maxHeartbeatAgeMs`: minutes), so that its restart does not reject every token. Only
 *   what it committed in its last moments, and role changes that wait for it, may be missing.
 *
 * All intervals use a monotonic clock, so changes of the system clock have no effect.
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import { REVOCATION_EPOCH, REVOCATION_HEARTBEAT, REVOCATION_STREAM } from '#runtime/auth/revocation-stream.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { entryTimeMs, isBefore, readRevocation, type StreamEntry } from './revocation-entries.ts'
import type { RevocationSet } from './revocation-set.ts'

/** Maximum age of the last complete read of the stream. Past it, the set is stale. */
const MAX_STALE_MS = 30_000

// A blocking read of an idle stream returns after this time, and so confirms that no entry was missed.
const BLOCK_MS = 500

// Entries per read, and entries checked for expiry after each read. Either is about 1 ms of work.
const BATCH = 1000

/** Heartbeat age from which the follower fetches a snapshot, and the minimum time between two such fetches. */
const SNAPSHOT_AFTER_MS = 10_000

const RETRY_MS = 250

const RECONNECT_TIMEOUT_MS = 2000

export interface RevocationFollowerOptions {
  /** A dedicated connection: reads of the stream block it. The follower closes it when stopped. */
  redis: Redis
  /** Fetches all revocations in force, in pages small enough to be applied without blocking the event loop. */
  snapshot: (signal: AbortSignal) => AsyncIterable<readonly Revocation[]>
  set: RevocationSet
  logger: Logger
  /** Maximum heartbeat age in milliseconds. Past it, the set is stale. A snapshot counts as a heartbeat. */
  maxHeartbeatAgeMs: number
  /** Called for each stream entry with its lag: milliseconds from writing to applying it. */
  onApplied?: (lagMs: number) => void
  /** Milliseconds of a clock that never steps. Default `performance.now()`. */
  monotonic?: () => number
}

export interface RevocationFollower {
  /** Whether a bound is exceeded, so that access tokens must be rejected. True until the first snapshot. */
  isStale(): boolean
  /** Milliseconds since the set last contained every entry of the stream. Infinite until the first snapshot. */
  staleForMs(): number
  /** Milliseconds since the last heartbeat or snapshot of auth-svc. Infinite until the first snapshot. */
  heartbeatAgeMs(): number
  stop(): Promise<void>
}

/** Starts to follow the revocation stream. Failures are logged and retried every 250 ms until `stop` is called. */
export function followRevocations(options: RevocationFollowerOptions): RevocationFollower {
  const { redis, snapshot, set, logger, maxHeartbeatAgeMs, onApplied, monotonic = () => performance.now() } = options
  const stopping = new AbortController()
  let completeAt = Number.NEGATIVE_INFINITY
  let heartbeatAt = Number.NEGATIVE_INFINITY
  let snapshotTriedAt = Number.NEGATIVE_INFINITY
  let staleFrom = Number.NEGATIVE_INFINITY
  let isHeartbeatMissing = false
  let isSnapshotFailing = false

  /** Follows one epoch of the stream. Returns if a new snapshot is needed; throws if Redis or auth-svc fails. */
  async function followEpoch(): Promise<void> {
    const epoch = await redis.get(REVOCATION_EPOCH)
    if (epoch === null) throw new Error('auth-svc has not created the revocation stream yet')
    const [newest] = await redis.xrevrange(REVOCATION_STREAM, '+', '-', 'COUNT', 1)
    let position = newest?.[0] ?? '0-0'
    completeAt = await takeSnapshot()
    updateStaleness()
    logger.info({ entries: set.size }, 'revocation snapshot loaded; following the stream')

    while (!stopping.signal.aborted) {
      const readAt = monotonic()
      const read = await readStream(position)
      if (read.epoch !== epoch) return
      // Redis' clock minus ours. The latency of the request is included, so that ages are over- and not underestimated.
      const offset = read.time - readAt
      apply(read.entries, offset)
      if (read.entries.length > 0 && isBefore(position, read.oldest)) {
        logger.info(
          { position, oldest: read.oldest },
          'revocation stream was trimmed past the read position; fetching a snapshot from auth-svc',
        )
        return
      }
      position = read.entries.at(-1)?.[0] ?? position
      // Entries added during the read may be missing, and a full batch may have successors.
      if (read.entries.length < BATCH) completeAt = readAt
      if (read.heartbeat !== null) onHeartbeat(Math.min(readAt, Number(read.heartbeat) - offset))
      updateStaleness()
      set.removeExpired(BATCH)
      if (heartbeatAgeMs() > SNAPSHOT_AFTER_MS && monotonic() - snapshotTriedAt > SNAPSHOT_AFTER_MS) {
        await replaceHeartbeat()
      }
    }
  }

  /** Adds to the set, because a revocation that was applied during the fetch may be missing in the snapshot. */
  async function takeSnapshot(): Promise<number> {
    const startedAt = monotonic()
    for await (const page of snapshot(stopping.signal)) for (const revocation of page) set.add(revocation)
    heartbeatAt = Math.max(heartbeatAt, startedAt)
    return startedAt
  }

  function apply(entries: readonly StreamEntry[], offset: number): void {
    for (const [id, fields] of entries) {
      const revocation = readRevocation(fields)
      if (revocation === undefined) logger.error({ id }, 'malformed entry in the revocation stream; skipped')
      else set.add(revocation)
      onApplied?.(Math.max(0, monotonic() + offset - entryTimeMs(id)))
    }
  }

  function onHeartbeat(time: number): void {
    if (time > heartbeatAt) heartbeatAt = time
    if (isHeartbeatMissing && heartbeatAgeMs() < SNAPSHOT_AFTER_MS) {
      logger.info('revocation heartbeat received again')
      isHeartbeatMissing = false
    }
  }

  async function replaceHeartbeat(): Promise<void> {
    snapshotTriedAt = monotonic()
    if (!isHeartbeatMissing) logger.warn('no revocation heartbeat for 10 s; fetching a snapshot from auth-svc')
    isHeartbeatMissing = true
    try {
      await takeSnapshot()
      updateStaleness()
      isSnapshotFailing = false
    } catch (error) {
      if (!isSnapshotFailing) logger.warn({ err: error }, 'fetching a revocation snapshot failed; retrying every 10 s')
      isSnapshotFailing = true
      return
    }
    // auth-svc responds, so the server of this connection may have become a replica without a primary, whose stream
    // receives nothing more although it can be read.
    await reconnect()
  }

  /** @throws if Redis does not accept a new connection within 2 s. */
  async function reconnect(): Promise<void> {
    redis.disconnect(true)
    await once(redis, 'ready', {
      signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(RECONNECT_TIMEOUT_MS)]),
    })
  }

  function updateStaleness(): void {
    staleFrom = Math.min(completeAt + MAX_STALE_MS, heartbeatAt + maxHeartbeatAgeMs)
  }

  const heartbeatAgeMs = () => monotonic() - heartbeatAt

  /** Reads entries after `position`. The heartbeat is read first, so that the entries it covers are in the reply. */
  async function readStream(position: string) {
    const replies = await redis
      .pipeline()
      .time()
      .get(REVOCATION_HEARTBEAT)
      .xread('COUNT', BATCH, 'BLOCK', BLOCK_MS, 'STREAMS', REVOCATION_STREAM, position)
      .get(REVOCATION_EPOCH)
      .xrange(REVOCATION_STREAM, '-', '+', 'COUNT', 1)
      .exec()
    const failed = replies?.find(([error]) => error !== null)
    if (failed !== undefined) throw failed[0]
    const [time, heartbeat, read, epoch, oldest] = (replies ?? []).map(([, reply]) => reply) as [
      [seconds: string | number, microseconds: string | number],
      string | null,
      [string, StreamEntry[]][] | null,
      string | null,
      StreamEntry[],
    ]
    return {
      time: Number(time[0]) * 1000 + Number(time[1]) / 1000,
      heartbeat,
      entries: read?.[0]?.[1] ?? [],
      epoch,
      oldest: oldest[0]?.[0] ?? '0-0',
    }
  }

  async function run(): Promise<void> {
    let isFailing = false
    while (!stopping.signal.aborted) {
      try {
        await followEpoch()
        isFailing = false
      } catch (error) {
        if (stopping.signal.aborted) return
        if (!isFailing) logger.warn({ err: error }, 'following the revocation stream failed; retrying')
        isFailing = true
        await delay(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
  }

  const running = run()
  return {
    // Negated, so that the set counts as stale if a time is NaN.
    isStale: () => !(monotonic() <= staleFrom),
    staleForMs: () => monotonic() - completeAt,
    heartbeatAgeMs,
    async stop() {
      stopping.abort()
      redis.disconnect()
      await running
    },
  }
}
