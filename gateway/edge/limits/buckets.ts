/** The interface of a set of token buckets, and its adapter to @fastify/rate-limit. */
import type { CreateRateLimitOptions, FastifyRateLimitStore, FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import type { ClientOperation } from '#runtime/observability/client-spans.ts'
import { type BucketShape, isAdmitted, type Outcome, remainingTokens, waitMs } from './token-bucket.ts'

/** The cost of a request, precomputed at boot. */
export interface Charge {
  readonly shape: BucketShape
  /** In units. A negative cost is a refund. */
  readonly cost: number
  /** The charge as an argument of the Redis script (bucket-script.ts). */
  readonly argument: string
}

/** @param tokens the cost; negative for a refund. */
export function createCharge(shape: BucketShape, tokens: number): Charge {
  const cost = tokens * shape.unitsPerToken
  return { shape, cost, argument: `${cost}:${shape.capacityUnits}:${shape.refillPerUs}:${shape.unitsPerToken}` }
}

export type OnOutcome = (outcome: Outcome) => void

/** Token buckets by key. A key that does not exist is a full bucket. */
export interface Buckets {
  /** The Redis operation of a charge, for traces; undefined if a charge involves no I/O. */
  readonly operation: ClientOperation | undefined
  /** Charges a bucket. Calls `onOutcome` exactly once, synchronously or later. It never throws. */
  charge(key: string, charge: Charge, onOutcome: OnOutcome): void
}

export interface BucketLimitOptions extends CreateRateLimitOptions {
  readonly charge: Charge
}

/** The plugin compares a counter with a maximum: `current` is the used tokens, and capacity + 1 for a rejection. */
export function bucketStore(buckets: Buckets): FastifyRateLimitStoreCtor {
  return class implements FastifyRateLimitStore {
    readonly #charge: Charge | undefined

    constructor(options: Partial<BucketLimitOptions>) {
      this.#charge = options.charge
    }

    incr(key: string, callback: Parameters<FastifyRateLimitStore['incr']>[1]): void {
      const charge = this.#charge
      if (charge === undefined) throw new Error('The limit has no charge: create it with createRateLimit')
      buckets.charge(key, charge, outcome => {
        const { shape, cost } = charge
        const { capacityTokens } = shape
        const current = isAdmitted(outcome) ? capacityTokens - remainingTokens(shape, outcome) : capacityTokens + 1
        callback(null, { current, ttl: waitMs(shape, outcome, cost) })
      })
    }

    child(options: object): FastifyRateLimitStore {
      return new (this.constructor as new (options: object) => FastifyRateLimitStore)(options)
    }
  }
}
