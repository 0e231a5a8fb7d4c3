/** The buckets as a store of @fastify/rate-limit. */
import type { CreateRateLimitOptions, FastifyRateLimitStore, FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import type { Buckets, Charge } from './buckets.ts'
import { isAdmitted, remainingTokens, waitMs } from './token-bucket.ts'

/** What the plugin must know of a limit, and what it hands on to the store's child. */
export interface BucketLimitOptions extends CreateRateLimitOptions {
  readonly charge: Charge
}

/** The plugin counts requests up to a maximum; ours is what the bucket holds, and `ttl` when there is more to have. */
export function bucketStore(buckets: Buckets): FastifyRateLimitStoreCtor {
  return class implements FastifyRateLimitStore {
    readonly #charge: Charge | undefined

    constructor(options: Partial<BucketLimitOptions>) {
      this.#charge = options.charge
    }

    incr(key: string, callback: Parameters<FastifyRateLimitStore['incr']>[1]): void {
      const charge = this.#charge
      if (charge === undefined) throw new Error('A limit without a charge: make it with createRateLimit')
      buckets.take(key, charge, outcome => {
        const { shape, cost } = charge
        const current = isAdmitted(outcome) ? shape.tokens - remainingTokens(shape, outcome) : shape.tokens + 1
        callback(null, { current, ttl: waitMs(shape, outcome, cost) })
      })
    }

    child(options: object): FastifyRateLimitStore {
      return new (this.constructor as new (options: object) => FastifyRateLimitStore)(options)
    }
  }
}
