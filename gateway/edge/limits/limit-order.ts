/** The order of strictness of rate limits: which of two policies admits fewer requests in a time. */
import { AccessLevel, type Policy } from '#runtime/grpc/contract.ts'
import { combine, compareNumbers, type Order, reverse } from '../../contract/policy-strictness.ts'
import { DEFAULT_CLASSES, type LimitClass, type LimitSettings } from './limit-classes.ts'

/** What a request is charged. Without a limit, capacity and refill are infinite. */
export interface RateLimitShape {
  readonly capacity: number
  readonly refillPerSecond: number
  /** Tokens per request. */
  readonly cost: number
  readonly refundOnSuccess: boolean
}

/** Compares two rate limits by capacity, refill rate, cost and refund. */
export function compareRateLimits(from: RateLimitShape, to: RateLimitShape): Order {
  return combine([
    reverse(compareNumbers(from.capacity, to.capacity)),
    reverse(compareNumbers(from.refillPerSecond, to.refillPerSecond)),
    compareNumbers(from.cost, to.cost),
    reverse(compareNumbers(Number(from.refundOnSuccess), Number(to.refundOnSuccess))),
  ])
}

/** Returns a function that compares the rate limits of two policies. */
export function createLimitOrder({ classes }: LimitSettings): (from: Policy, to: Policy) => Order {
  const bucketOf = (policy: Policy) => classes[policy.rateLimit?.class || defaultClass(policy)]
  return (from, to) => {
    const [one, other] = [bucketOf(from), bucketOf(to)]
    if (one !== undefined && other !== undefined) {
      return compareRateLimits(rateLimitShape(one, from.rateLimit), rateLimitShape(other, to.rateLimit))
    }
    // A class that is not defined is incomparable with others; it stops the boot later.
    return one === other && from.rateLimit?.class === to.rateLimit?.class ? 'same' : 'incomparable'
  }
}

export function rateLimitShape(
  bucket: LimitClass,
  { cost, refundOnSuccess = false }: { readonly cost?: number; readonly refundOnSuccess?: boolean } = {},
): RateLimitShape {
  const isUnlimited = bucket === 'unlimited'
  return {
    capacity: isUnlimited ? Number.POSITIVE_INFINITY : bucket.capacityTokens,
    refillPerSecond: isUnlimited ? Number.POSITIVE_INFINITY : (bucket.refillPerUs * 1e6) / bucket.unitsPerToken,
    cost: cost || 1,
    refundOnSuccess,
  }
}

function defaultClass({ access }: Policy): string {
  const requiresUser = access === AccessLevel.USER || access === AccessLevel.ROLES
  return requiresUser ? DEFAULT_CLASSES.authenticated : DEFAULT_CLASSES.anonymous
}
