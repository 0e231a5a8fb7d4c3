/**
 * The order of strictness of policies: which of two policies admits fewer requests. A field of `edge.v1.Policy` without an
 * order does not compile.
 */
import { Retry } from '#proto/edge/v1/options_pb.js'
import { AccessLevel, type Policy } from '#runtime/grpc/contract.ts'

/** How the second of two values compares with the first. `incomparable`: stricter in one respect and weaker in another. */
export type Order = 'same' | 'stricter' | 'weaker' | 'incomparable'

export type PolicyField = Exclude<keyof Policy, '$typeName' | '$unknown'>

/** What the order of policies depends on besides the policies. */
export interface PolicyContext {
  /** Compares the rate limits of two policies. */
  readonly compareLimits: (from: Policy, to: Policy) => Order
  /** Timeout in milliseconds of a method whose policy has none. */
  readonly defaultTimeoutMs: number
}

/** From weak to strict. A method with one of the last two is not exposed. */
const ACCESS_RANK: Record<AccessLevel, number> = {
  [AccessLevel.UNSPECIFIED]: 0,
  [AccessLevel.PUBLIC]: 0,
  [AccessLevel.OPTIONAL]: 1,
  [AccessLevel.USER]: 2,
  [AccessLevel.ROLES]: 3,
  [AccessLevel.SERVICE]: 4,
  [AccessLevel.INTERNAL]: 5,
}

const ORDERS: Record<PolicyField, (from: Policy, to: Policy, context: PolicyContext) => Order> = {
  // The roles have a meaning only with ACCESS_ROLES, so both fields have one order.
  access: compareAccess,
  roles: compareAccess,
  timeout: (from, to, { defaultTimeoutMs }) =>
    reverse(compareNumbers(policyTimeoutMs(from) ?? defaultTimeoutMs, policyTimeoutMs(to) ?? defaultTimeoutMs)),
  // It changes the status of an admitted request only.
  successStatus: () => 'same',
  tolerateInvalidToken: (from, to) =>
    reverse(compareNumbers(Number(from.tolerateInvalidToken), Number(to.tolerateInvalidToken))),
  rateLimit: (from, to, { compareLimits }) => compareLimits(from, to),
  // A method that must not be repeated stays so. The other two values differ in what the author knows of the method.
  retry: (from, to) => compareNumbers(Number(from.retry === Retry.NEVER), Number(to.retry === Retry.NEVER)),
}

/** All fields of a policy. */
export const POLICY_FIELDS = Object.keys(ORDERS) as PolicyField[]

/** Compares one field of two policies. */
export function compareField(field: PolicyField, from: Policy, to: Policy, context: PolicyContext): Order {
  return ORDERS[field](from, to, context)
}

/** Returns the fields in which `to` is weaker than `from`, or incomparable. */
export function weakenedFields(from: Policy, to: Policy, context: PolicyContext): PolicyField[] {
  return POLICY_FIELDS.filter(field => ['weaker', 'incomparable'].includes(compareField(field, from, to, context)))
}

/** In milliseconds; undefined if the policy has no timeout. */
export function policyTimeoutMs({ timeout }: Policy): number | undefined {
  return timeout && Number(timeout.seconds) * 1000 + timeout.nanos / 1e6
}

/** The larger number is stricter. */
export function compareNumbers(from: number, to: number): Order {
  if (from === to) return 'same'
  return to > from ? 'stricter' : 'weaker'
}

export function reverse(order: Order): Order {
  if (order === 'stricter') return 'weaker'
  return order === 'weaker' ? 'stricter' : order
}

/** Combines the orders of several aspects of one thing. */
export function combine(orders: readonly Order[]): Order {
  const different = new Set(orders.filter(order => order !== 'same'))
  const [only = 'same'] = different
  return different.size > 1 ? 'incomparable' : only
}

function compareAccess(from: Policy, to: Policy): Order {
  const isByRole = from.access === AccessLevel.ROLES && to.access === AccessLevel.ROLES
  return isByRole ? compareSets(from.roles, to.roles) : compareNumbers(ACCESS_RANK[from.access], ACCESS_RANK[to.access])
}

/** Fewer roles admit fewer callers. */
function compareSets(from: readonly string[], to: readonly string[]): Order {
  const lost = from.some(role => !to.includes(role))
  const gained = to.some(role => !from.includes(role))
  if (lost && gained) return 'incomparable'
  if (lost) return 'stricter'
  return gained ? 'weaker' : 'same'
}
