/** Compares two route listings: which callers gain or lose access, by the order of strictness of policies. */
import { create } from '@bufbuild/protobuf'
import { DurationSchema } from '@bufbuild/protobuf/wkt'
import { type Policy, PolicySchema, Retry } from '#proto/edge/v1/options_pb.js'
import { parsePathTemplate } from '../contract/path-template.ts'
import { ACCESS_LEVELS, type AccessName, RETRIES } from '../contract/policy-entries.ts'
import { combine, compareField, type Order, POLICY_FIELDS, type PolicyField } from '../contract/policy-strictness.ts'
import { compareRateLimits } from '../edge/limits/limit-order.ts'
import { type LimitEntry, limitText, type RouteEntry, type RouteListing, shapeOf } from './route-listing.ts'

/** `route`: it was added or removed. `rpc`: it calls another method. `upstream`: it has another upstream. */
export type ChangeKind = PolicyField | 'route' | 'rpc' | 'upstream' | 'invalidTokenLimit'

/** One difference between two listings. */
export interface Change {
  /** Such as `GET /v1/items`, or `all routes`. */
  readonly route: string
  readonly rpc: string
  readonly change: ChangeKind
  readonly from: string
  readonly to: string
  /** How `to` compares with `from`. */
  readonly order: Order
}

/** Whether callers gain something that `from` did not admit. */
export function isWeakening({ order }: Change): boolean {
  return order === 'weaker' || order === 'incomparable'
}

/** Returns the differences, in the order of `to`, then the removed routes. */
export function compareListings(from: RouteListing, to: RouteListing): Change[] {
  const old = new Map(from.routes.map(route => [keyOf(route), route]))
  const current = new Set(to.routes.map(keyOf))
  const changes = to.routes.flatMap(route => {
    const before = old.get(keyOf(route))
    return before === undefined ? [added(route)] : compareRoutes(before, route)
  })
  const removed = from.routes.filter(route => !current.has(keyOf(route))).map(removal)
  return [...changes, ...removed, ...compareInvalidTokenLimits(from.invalidTokenLimit, to.invalidTokenLimit)]
}

/** The names of variables do not matter. */
function keyOf({ method, path }: RouteEntry): string {
  return `${method} ${parsePathTemplate(path).shape}`
}

function compareRoutes(from: RouteEntry, to: RouteEntry): Change[] {
  const place = { route: `${to.method} ${to.path}`, rpc: to.rpc }
  const [one, other] = [policyOf(from), policyOf(to)]
  const context = { compareLimits: () => compareLimits(from, to), defaultTimeoutMs: 0 }
  const fields = POLICY_FIELDS.flatMap(change => {
    const texts = { from: FIELD_TEXT[change](from), to: FIELD_TEXT[change](to) }
    // With another access level, the roles are part of it.
    const isPart = change === 'roles' && from.access !== to.access
    if (texts.from === texts.to || isPart) return []
    return [{ ...place, change, ...texts, order: compareField(change, one, other, context) }]
  })
  return [
    ...(from.rpc === to.rpc
      ? []
      : [{ ...place, change: 'rpc' as const, from: from.rpc, to: to.rpc, order: 'incomparable' as const }]),
    ...(from.upstream === to.upstream
      ? []
      : [{ ...place, change: 'upstream' as const, from: from.upstream, to: to.upstream, order: 'same' as const }]),
    ...fields,
  ]
}

/** A further route is weaker if it admits requests without a token. */
function added(route: RouteEntry): Change {
  const order = ['public', 'optional'].includes(route.access) ? 'weaker' : 'same'
  return { ...change(route), from: 'none', to: FIELD_TEXT.access(route), order }
}

function removal(route: RouteEntry): Change {
  return { ...change(route), from: FIELD_TEXT.access(route), to: 'none', order: 'stricter' }
}

function change({ method, path, rpc }: RouteEntry): Pick<Change, 'route' | 'rpc' | 'change'> {
  return { route: `${method} ${path}`, rpc, change: 'route' }
}

function compareInvalidTokenLimits(from: LimitEntry | null, to: LimitEntry | null): Change[] {
  if (from === null || to === null || limitText(from) === limitText(to)) return []
  return [
    {
      route: 'all routes',
      rpc: 'requests with an invalid token',
      change: 'invalidTokenLimit',
      from: limitText(from),
      to: limitText(to),
      order: compareRateLimits(shapeOf(from), shapeOf(to)),
    },
  ]
}

/** The value of a field of the policy. A field without one does not compile. */
const FIELD_TEXT: Record<PolicyField, (route: RouteEntry) => string> = {
  access: ({ access, roles }) => (roles.length > 0 ? `${access}: ${[...roles].sort().join(', ')}` : access),
  roles: () => '',
  timeout: ({ timeoutMs }) => `${timeoutMs} ms`,
  successStatus: ({ successStatus }) => String(successStatus),
  tolerateInvalidToken: ({ tolerateInvalidToken }) => String(tolerateInvalidToken),
  retry: ({ retry }) => retry ?? 'if idempotent',
  rateLimit: ({ limits }) =>
    [
      limits.byAddress && `by address ${limitText(limits.byAddress)}`,
      limits.byUser && `by user ${limitText(limits.byUser)}`,
    ]
      .filter(text => text !== null)
      .join('; '),
}

function policyOf({ access, roles, timeoutMs, successStatus, tolerateInvalidToken, retry }: RouteEntry): Policy {
  const seconds = Math.trunc(timeoutMs / 1000)
  return create(PolicySchema, {
    access: ACCESS_LEVELS[access as AccessName],
    roles,
    timeout: create(DurationSchema, {
      seconds: BigInt(seconds),
      nanos: Math.round((timeoutMs - seconds * 1000) * 1e6),
    }),
    successStatus,
    tolerateInvalidToken,
    retry: retry === null ? Retry.UNSPECIFIED : RETRIES[retry],
  })
}

/** A bucket that only one of the routes has follows from its access level, which is compared by itself. */
function compareLimits({ limits: from }: RouteEntry, { limits: to }: RouteEntry): Order {
  const compare = (one: LimitEntry | null, other: LimitEntry | null): Order =>
    one === null || other === null ? 'same' : compareRateLimits(shapeOf(one), shapeOf(other))
  return combine([compare(from.byAddress, to.byAddress), compare(from.byUser, to.byUser)])
}
