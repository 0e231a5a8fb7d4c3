import type { Buckets, Charge } from './buckets.ts'
import { type BucketState, type Outcome, take } from './token-bucket.ts'

/** About 15 MB. Past it the bucket that was used least recently is forgotten, that is, full again. */
const MOST_BUCKETS = 100_000

export interface LocalBuckets extends Buckets {
  decide(key: string, charge: Charge): Outcome
}

/** Buckets of this process alone. @param nowUs microseconds of a clock that never goes back. */
export function createLocalBuckets({
  mostBuckets = MOST_BUCKETS,
  nowUs = () => Math.floor(performance.now() * 1000),
} = {}): LocalBuckets {
  /** The one used least recently comes first. */
  const states = new Map<string, BucketState>()

  function decide(key: string, charge: Charge): Outcome {
    const now = nowUs()
    const state = states.get(key) ?? { level: charge.shape.capacity, at: now }
    states.delete(key)
    if (states.size >= mostBuckets) states.delete(states.keys().next().value as string)
    states.set(key, state)
    return take(state, charge.shape, charge.cost, now)
  }

  return { operation: undefined, decide, take: (key, charge, decided) => decided(decide(key, charge)) }
}
