/**
 * Token buckets that all gateways share through Redis. While Redis is unavailable or slow, each process uses local
 * buckets, so that every process admits up to the capacity. The buckets in Redis are kept and used again afterwards.
 */
import type { Logger } from '#runtime/observability/logger.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { type Buckets, createCharge } from './buckets.ts'
import { createLocalBuckets } from './local-buckets.ts'
import { createRedisBuckets } from './redis-buckets.ts'
import { bucketShape } from './token-bucket.ts'

// The documented bound of a decision is 50 ms; timers may fire late.
const TIMEOUT_MS = 40
const PROBE_MS = 200

// A charge of 0 tokens still writes, so that a Redis that is out of memory or read-only fails the probe.
const PROBE = { key: 'gatehouse:limit:probe', charge: createCharge(bucketShape(1, 1, 1e6), 0) }

export interface SharedBucketsOptions {
  readonly redisUrl: string
  readonly logger: Logger
  /** Maximum time of a charge in Redis, in milliseconds. Default 40. Then the local buckets take over. */
  readonly timeoutMs?: number
  /** Called with true when local buckets take over, with false when Redis is used again or for the first time. */
  readonly onFallback?: (isLocal: boolean) => void
}

export interface SharedBuckets extends Buckets {
  /** Whether the local buckets are in use. True until the first reply of Redis. */
  readonly isLocal: boolean
  close(): Promise<void>
}

/** Connects to Redis and creates the buckets. Connection failures are logged and retried. */
export function createSharedBuckets(options: SharedBucketsOptions): SharedBuckets {
  const { redisUrl, logger, timeoutMs = TIMEOUT_MS, onFallback } = options
  const redis = createRedis(redisUrl, logger, {
    // Commands are neither queued nor resent: a late outcome is useless to its request.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  })
  const local = createLocalBuckets()
  const shared = createRedisBuckets({
    redis,
    timeoutMs,
    fallback: local.charge,
    onFailure(error, charges) {
      logger.debug({ err: error, charges }, 'rate-limit script failed or timed out')
      useLocal()
    },
  })

  let isLocal = true
  let isProbing = false
  let probeTimer = setInterval(probe, PROBE_MS)
  redis.on('ready', probe)
  redis.on('close', useLocal)

  function useLocal(): void {
    if (isLocal) return
    isLocal = true
    probeTimer = setInterval(probe, PROBE_MS)
    logger.warn('Redis is unavailable for rate limits; using local buckets')
    onFallback?.(true)
  }

  async function probe(): Promise<void> {
    if (isProbing || redis.status !== 'ready') return
    isProbing = true
    const sentAt = performance.now()
    try {
      await shared.chargeNow(PROBE.key, PROBE.charge)
      if (performance.now() - sentAt <= timeoutMs) useShared()
    } catch (error) {
      // The client replaces a connection that timed out or has the wrong server.
      logger.debug({ err: error }, 'rate-limit probe of Redis failed')
    } finally {
      isProbing = false
    }
  }

  function useShared(): void {
    if (!isLocal) return
    isLocal = false
    clearInterval(probeTimer)
    logger.info('Redis is available for rate limits; using shared buckets')
    onFallback?.(false)
  }

  return {
    get isLocal() {
      return isLocal
    },
    get operation() {
      return isLocal ? undefined : shared.operation
    },
    charge(key, charge, onOutcome) {
      if (isLocal) local.charge(key, charge, onOutcome)
      else shared.charge(key, charge, onOutcome)
    },
    async close() {
      shared.flush()
      redis.off('close', useLocal)
      redis.off('ready', probe)
      clearInterval(probeTimer)
      await redis.quit().catch(() => redis.disconnect())
    },
  }
}
