import type { ClientOperation } from '#runtime/observability/client-spans.ts'
import type { BucketShape, Outcome } from './token-bucket.ts'

/** What one request takes from a bucket: made at boot, for each method. */
export interface Charge {
  readonly shape: BucketShape
  /** In units; negative gives back. */
  readonly cost: number
  /** As bucket-script.ts takes it. */
  readonly argument: string
}

export function chargeOf(shape: BucketShape, tokens: number): Charge {
  const cost = tokens * shape.perToken
  return { shape, cost, argument: `${cost}:${shape.capacity}:${shape.gain}:${shape.perToken}` }
}

export type Decided = (outcome: Outcome) => void

/** Where buckets are. Each is known by its key; one that is not there is full. */
export interface Buckets {
  /** As what a decision stands in traces; undefined where it asks no other system. */
  readonly operation: ClientOperation | undefined
  /** Takes the charge, or refuses, and says so: at once or later, always once. It does not fail. */
  take(key: string, charge: Charge, decided: Decided): void
}
