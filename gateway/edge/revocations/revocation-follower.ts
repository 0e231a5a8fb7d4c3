/**
 * Keeps the revocation set true: a snapshot of auth-svc, then the tail of the Redis stream.
 *
 * The position in the stream is read before the snapshot, so that nothing falls between the two; what comes twice does no
 * harm. The stream's epoch tells one stream from another: when Redis was flushed or replaced, the epoch is gone or
 * different, and a new snapshot is taken. So it is when the stream no longer reaches back to where the reading stopped.
 *
 * Two things can hide a revocation, and each has its bound:
 * - Redis cannot be read. Nothing is known of logouts that others have been told are done: after 30 s no token is trusted.
 * - Nobody fills the stream. auth-svc vouches for it each second; where it does not for 10 s, it is asked itself, which
 *   tells as much. Where it does not answer either, it is away: nobody can log out then, and what may be missing is what
 *   its last moments committed and did not send, and changes of roles, which wait for it. Hence a longer bound, of
 *   minutes (`maxSilentMs`): a restart or a migration of auth-svc must not lock everybody out of everything else.
 *
 * All spans of time are by a monotonic clock: a step of the wall clock neither blinds nor opens anything.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import { REVOCATION_EPOCH, REVOCATION_HEARTBEAT, REVOCATION_STREAM } from '#runtime/auth/revocation-stream.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { isBefore, millisecondsOf, readRevocation, type StreamEntry } from './revocation-entry.ts'
import type { RevocationSet } from './revocations.ts'

/** Longer without the stream than this, and no token can be trusted any more. */
const MAX_BLIND_MS = 30_000

// An idle read returns this often, and with it the proof that nothing was missed.
const BLOCK_MS = 500

// Entries of one read, and entries that are looked at for their expiry after it: 1 ms of work each.
const BATCH = 1000

const ASK_AFTER_MS = 10_000

export interface RevocationFollowerOptions {
  /** A connection of its own: it blocks. */
  redis: Redis
  /** All revocations in force, from auth-svc, in parts that are small enough to be taken in at once. */
  snapshot: (signal: AbortSignal) => AsyncIterable<readonly Revocation[]>
  set: RevocationSet
  logger: Logger
  /** Milliseconds for which nobody may have vouched for the stream before no token is trusted. */
  maxSilentMs: number
  /** Told of each entry of the stream: milliseconds since it was written. */
  onApplied?: (lagMs: number) => void
  /** Milliseconds of a clock that never steps. */
  monotonic?: () => number
}

export interface RevocationFollower {
  /** Whether so much may have been missed that no token can be trusted. */
  isBlind(): boolean
  /** Milliseconds since the set was last known to have all that the stream has. */
  blindFor(): number
  /** Milliseconds since the last moment up to which the stream is known to have had everything. */
  silentFor(): number
  stop(): Promise<void>
}

export function followRevocations(options: RevocationFollowerOptions): RevocationFollower {
  const { redis, snapshot, set, logger, maxSilentMs, onApplied, monotonic = () => performance.now() } = options
  const stopping = new AbortController()
  let completeAt = Number.NEGATIVE_INFINITY
  let vouchedAt = Number.NEGATIVE_INFINITY
  let askedAt = Number.NEGATIVE_INFINITY
  let trustedUntil = Number.NEGATIVE_INFINITY
  let isSilenceTold = false

  /** One life of the stream: returns when another must be begun, throws when Redis or auth-svc cannot be had. */
  async function follow(): Promise<void> {
    const epoch = await redis.get(REVOCATION_EPOCH)
    if (epoch === null) throw new Error('auth-svc has not begun a revocation stream')
    const [newest] = await redis.xrevrange(REVOCATION_STREAM, '+', '-', 'COUNT', 1)
    let position = newest?.[0] ?? '0-0'
    completeAt = await takeSnapshot()
    trust()
    logger.info({ entries: set.size }, 'revocations are known')

    while (!stopping.signal.aborted) {
      const readAt = monotonic()
      const read = await readOn(position)
      if (read.epoch !== epoch) return
      // Redis' clock less ours; too much by the time that the question was on its way, so that ages come out too high.
      const offset = read.time - readAt
      apply(read.entries, offset)
      if (read.entries.length > 0 && isBefore(position, read.oldest)) {
        logger.info({ position, oldest: read.oldest }, 'the revocation stream does not reach back to the last read')
        return
      }
      position = read.entries.at(-1)?.[0] ?? position
      // Entries written while the read was under way may still be on their way, and those past a full batch are.
      if (read.entries.length < BATCH) completeAt = readAt
      if (read.heartbeat !== null) hear(Math.min(readAt, Number(read.heartbeat) - offset))
      trust()
      set.forgetExpired(BATCH)
      if (silentFor() > ASK_AFTER_MS && monotonic() - askedAt > ASK_AFTER_MS) await askInstead()
    }
  }

  /** Added to what is known: a revocation that was applied here while it was on its way must not be lost. */
  async function takeSnapshot(): Promise<number> {
    const began = monotonic()
    for await (const part of snapshot(stopping.signal)) for (const revocation of part) set.add(revocation)
    vouchedAt = Math.max(vouchedAt, began)
    return began
  }

  function apply(entries: readonly StreamEntry[], offset: number): void {
    for (const [id, fields] of entries) {
      const revocation = readRevocation(fields)
      if (revocation === undefined) logger.error({ id }, 'a revocation could not be read')
      else set.add(revocation)
      onApplied?.(Math.max(0, monotonic() + offset - millisecondsOf(id)))
    }
  }

  function hear(heartbeat: number): void {
    if (heartbeat > vouchedAt) vouchedAt = heartbeat
    if (isSilenceTold && silentFor() < ASK_AFTER_MS) {
      logger.info('auth-svc vouches for the revocation stream again')
      isSilenceTold = false
    }
  }

  async function askInstead(): Promise<void> {
    askedAt = monotonic()
    if (!isSilenceTold) logger.warn('nobody vouches for the revocation stream; auth-svc is asked itself')
    isSilenceTold = true
    try {
      await takeSnapshot()
      trust()
    } catch (error) {
      logger.debug({ err: error }, 'auth-svc does not answer')
    }
  }

  function trust(): void {
    trustedUntil = Math.min(completeAt + MAX_BLIND_MS, vouchedAt + maxSilentMs)
  }

  const silentFor = () => monotonic() - vouchedAt

  /** The heartbeat is read before the entries: those that it vouches for are there by then. */
  async function readOn(position: string) {
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
    isBlind: () => !(monotonic() <= trustedUntil),
    blindFor: () => monotonic() - completeAt,
    silentFor,
    async stop() {
      stopping.abort()
      redis.disconnect()
      await running
    },
  }
}
