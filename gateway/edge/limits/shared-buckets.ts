/**
 * Buckets that all gateways share through Redis, and buckets of this process's own while Redis is gone, hangs or is slow:
 * each process then admits what its own buckets hold. What is in Redis stays there.
 */
import type { Logger } from '#runtime/observability/logger.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { type Buckets, chargeOf } from './buckets.ts'
import { createLocalBuckets } from './local-buckets.ts'
import { createRedisBuckets } from './redis-buckets.ts'
import { bucketShape } from './token-bucket.ts'

/** Milliseconds that a decision waits for Redis; it is promised within 50, and a timer may be late. */
const DECISION_MS = 40
/** Milliseconds between two looks whether Redis answers again. */
const PROBE_MS = 200
/** Milliseconds until the next attempt to connect, at most. */
const RECONNECT_MS = 500
/** Milliseconds without an answer after which a connection counts as dead, though nobody closed it. */
const DEAD_MS = 1000

// It takes nothing, but writes: a Redis that is full, or a replica, is not back.
const PROBE = { key: 'gatehouse:limit:probe', charge: chargeOf(bucketShape(1, 1, 1e6), 0) }

export interface SharedBucketsOptions {
  readonly redisUrl: string
  readonly logger: Logger
  readonly decisionMs?: number
  /** True when decisions are this process's own from now on, false when they are shared again. */
  readonly onFallback?: (isLocal: boolean) => void
}

export interface SharedBuckets extends Buckets {
  readonly isLocal: boolean
  close(): Promise<void>
}

export function createSharedBuckets(options: SharedBucketsOptions): SharedBuckets {
  const { redisUrl, logger, decisionMs = DECISION_MS, onFallback } = options
  const redis = createRedis(redisUrl, logger, {
    // A decision is of use now or never.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: DEAD_MS,
    disconnectTimeout: 200,
    retryStrategy: attempt => Math.min(RECONNECT_MS, 25 * 2 ** Math.min(attempt, 6)) * (0.5 + Math.random() / 2),
  })
  const local = createLocalBuckets()
  const shared = createRedisBuckets({
    redis,
    decisionMs,
    instead: local.take,
    onUnanswered(error, decisions) {
      logger.debug({ err: error, decisions }, 'redis did not decide on rate limits')
      fallBack()
    },
  })

  // Until the first answer.
  let isLocal = true
  let isProbing = false
  let probing = setInterval(probe, PROBE_MS)
  redis.on('ready', probe)
  redis.on('close', fallBack)

  function fallBack(): void {
    if (isLocal) return
    isLocal = true
    probing = setInterval(probe, PROBE_MS)
    logger.warn('rate limits are decided by this process alone')
    onFallback?.(true)
  }

  async function probe(): Promise<void> {
    if (isProbing || redis.status !== 'ready') return
    isProbing = true
    const sentAt = performance.now()
    try {
      await shared.takeNow(PROBE.key, PROBE.charge)
      if (performance.now() - sentAt <= decisionMs) comeBack()
    } catch (error) {
      logger.debug({ err: error }, 'redis does not decide on rate limits yet')
      // Whatever it was connected to, another connection may be to one that answers, or that is the primary now.
      const isRefusal = error instanceof Error && error.name === 'ReplyError' && !error.message.startsWith('READONLY')
      if (!isRefusal) redis.disconnect(true)
    } finally {
      isProbing = false
    }
  }

  function comeBack(): void {
    if (!isLocal) return
    isLocal = false
    clearInterval(probing)
    logger.info('rate limits are shared by all gateways')
    onFallback?.(false)
  }

  return {
    get isLocal() {
      return isLocal
    },
    get operation() {
      return isLocal ? undefined : shared.operation
    },
    take(key, charge, decided) {
      if (isLocal) local.take(key, charge, decided)
      else shared.take(key, charge, decided)
    },
    async close() {
      shared.flush()
      redis.off('close', fallBack)
      redis.off('ready', probe)
      clearInterval(probing)
      await redis.quit().catch(() => redis.disconnect())
    },
  }
}
