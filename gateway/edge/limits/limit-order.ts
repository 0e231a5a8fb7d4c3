/** The order of strictness of rate limits: which of two policies admits fewer requests in a time. */
import { AccessLevel, type Policy } from '#runtime/grpc/contract.ts'
import { combine, compareNumbers, type Order, reverse } from '../../contract/policy-strictness.ts'
import { DEFAULT_CLASSES, type LimitClass, type LimitSettings } from './limit-classes.ts'

/** Returns a function that compares the rate limits of two policies by capacity, refill rate, cost and refund. */
export function createLimitOrder({ classes }: LimitSettings): (from: Policy, to: Policy) => Order {
  const bucketOf = (policy: Policy) => classes[policy.rateLimit?.class || defaultClass(policy)]
  return (from, to) =>
    combine([
      compareClasses(bucketOf(from), bucketOf(to)),
      compareNumbers(from.rateLimit?.cost || 1, to.rateLimit?.cost || 1),
      reverse(
        compareNumbers(
          Number(from.rateLimit?.refundOnSuccess ?? false),
          Number(to.rateLimit?.refundOnSuccess ?? false),
        ),
      ),
    ])
}

function defaultClass({ access }: Policy): string {
  const requiresUser = access === AccessLevel.USER || access === AccessLevel.ROLES
  return requiresUser ? DEFAULT_CLASSES.authenticated : DEFAULT_CLASSES.anonymous
}

/** A class that is not defined is incomparable with others; it stops the boot later. */
function compareClasses(from: LimitClass | undefined, to: LimitClass | undefined): Order {
  if (from === to) return 'same'
  if (from === undefined || to === undefined) return 'incomparable'
  return reverse(
    combine([compareNumbers(capacityOf(from), capacityOf(to)), compareNumbers(tokensPerUs(from), tokensPerUs(to))]),
  )
}

function capacityOf(limit: LimitClass): number {
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : limit.capacityTokens
}

function tokensPerUs(limit: LimitClass): number {
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : limit.refillPerUs / limit.unitsPerToken
}
