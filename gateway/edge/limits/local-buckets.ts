import type { Buckets, Charge } from './buckets.ts'
import { type BucketState, chargeBucket, type Outcome } from './token-bucket.ts'

// They take about 15 MB.
const MAX_BUCKETS = 100_000

export interface LocalBucketsOptions {
  /** Default 100,000. Beyond it, the least recently used bucket is dropped and so becomes full. */
  maxBuckets?: number
  /** Microseconds of a clock that never steps back. Default `performance.now()`. */
  nowUs?: () => number
}

export interface LocalBuckets extends Buckets {
  chargeNow(key: string, charge: Charge): Outcome
}

/** Creates buckets in the memory of this process. */
export function createLocalBuckets(options: LocalBucketsOptions = {}): LocalBuckets {
  const { maxBuckets = MAX_BUCKETS, nowUs = () => Math.floor(performance.now() * 1000) } = options
  /** In the order of their last use, least recent first. */
  const states = new Map<string, BucketState>()

  function chargeNow(key: string, charge: Charge): Outcome {
    const now = nowUs()
    const state = states.get(key) ?? { level: charge.shape.capacityUnits, at: now }
    states.delete(key)
    if (states.size >= maxBuckets) states.delete(states.keys().next().value as string)
    states.set(key, state)
    return chargeBucket(state, charge.shape, charge.cost, now)
  }

  return { operation: undefined, chargeNow, charge: (key, charge, onOutcome) => onOutcome(chargeNow(key, charge)) }
}
