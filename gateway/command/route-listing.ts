/** The routes as data: what `routes --json` prints and `policy-diff` compares. */
import { z } from 'zod'
import { accessName, retryName } from '../contract/policy-entries.ts'
import { policyTimeoutMs } from '../contract/policy-strictness.ts'
import { isStream, type Route } from '../contract/route-table.ts'
import { type RateLimitShape, rateLimitShape } from '../edge/limits/limit-order.ts'
import type { Limit, MethodLimits } from '../edge/limits/method-limits.ts'
import { DEFAULT_STREAM_TIMEOUT_MS } from '../transcoding/stream-handler.ts'
import type { Boot } from './inspection.ts'

const limitSchema = z.strictObject({
  class: z.string(),
  /** Null: unlimited. */
  capacity: z.number().nullable(),
  refillPerSecond: z.number().nullable(),
  cost: z.number(),
  refundOnSuccess: z.boolean(),
})

const routeSchema = z.strictObject({
  method: z.string(),
  path: z.string(),
  rpc: z.string(),
  upstream: z.string(),
  stream: z.boolean(),
  access: z.string(),
  roles: z.array(z.string()),
  timeoutMs: z.number(),
  successStatus: z.number(),
  tolerateInvalidToken: z.boolean(),
  /** Null: by idempotency_level, then by the HTTP method. */
  retry: z.enum(['never', 'always']).nullable().default(null),
  /** What an admitted request is charged. Null: no request is charged to such a bucket. */
  limits: z.strictObject({ byAddress: limitSchema.nullable(), byUser: limitSchema.nullable() }),
})

/** The output of `gatehouse routes --json`. */
export const listingSchema = z.strictObject({
  routes: z.array(routeSchema),
  /** What a request is charged whose token is invalid. */
  invalidTokenLimit: limitSchema.nullable(),
})

export type LimitEntry = z.output<typeof limitSchema>
export type RouteEntry = z.output<typeof routeSchema>
export type RouteListing = z.output<typeof listingSchema>

/** Lists the routes, sorted by path and method. */
export function listRoutes({ plan, configuration }: Pick<Boot, 'plan' | 'configuration'>): RouteListing {
  const timeouts = new Map(configuration.file.upstreams.map(({ name, timeoutMs }) => [name, timeoutMs]))
  const entries = plan.routes.map(route =>
    entryOf(route, plan.limits.get(route.name) as MethodLimits, timeouts.get(route.upstream) as number),
  )
  const [limits] = plan.limits.values()
  return {
    routes: entries.sort((a, b) => compare(a.path, b.path) || compare(a.method, b.method)),
    invalidTokenLimit: limits === undefined ? null : limitEntry(limits.unauthenticated),
  }
}

function entryOf(route: Route, limits: MethodLimits, defaultTimeoutMs: number): RouteEntry {
  const { policy } = route
  const stream = isStream(route)
  const access = accessName(policy.access)
  const requiresUser = access === 'user' || access === 'roles'
  return {
    method: route.httpMethod,
    path: route.template.source,
    rpc: route.name,
    upstream: route.upstream,
    stream,
    access,
    roles: [...policy.roles],
    timeoutMs: policyTimeoutMs(policy) ?? (stream ? DEFAULT_STREAM_TIMEOUT_MS : defaultTimeoutMs),
    successStatus: policy.successStatus || 200,
    tolerateInvalidToken: policy.tolerateInvalidToken,
    retry: retryName(policy.retry) ?? null,
    limits: {
      // If a token is required, the address is charged for refused requests only.
      byAddress: requiresUser ? null : limitEntry(limits.byAddress),
      byUser: limits.byPrincipal === undefined ? null : limitEntry(limits.byPrincipal),
    },
  }
}

function limitEntry({ className, bucket, cost, refundOnSuccess }: Limit): LimitEntry {
  const shape = rateLimitShape(bucket, { cost, refundOnSuccess })
  // JSON has no Infinity.
  const finite = (value: number) => (Number.isFinite(value) ? value : null)
  return {
    class: className,
    capacity: finite(shape.capacity),
    refillPerSecond: finite(shape.refillPerSecond),
    cost,
    refundOnSuccess,
  }
}

export function shapeOf({ capacity, refillPerSecond, cost, refundOnSuccess }: LimitEntry): RateLimitShape {
  const number = (value: number | null) => value ?? Number.POSITIVE_INFINITY
  return { capacity: number(capacity), refillPerSecond: number(refillPerSecond), cost, refundOnSuccess }
}

/** Returns the access level with its roles, such as `roles: admin, editor`. */
export function accessText({ access, roles }: Pick<RouteEntry, 'access' | 'roles'>): string {
  return roles.length > 0 ? `${access}: ${roles.join(', ')}` : access
}

/** Returns a limit as text, such as `user: 100 tokens, 10 per second, cost 2`. */
export function limitText({ class: name, capacity, refillPerSecond, cost, refundOnSuccess }: LimitEntry): string {
  if (capacity === null) return `${name}: unlimited`
  const rate = Number((refillPerSecond ?? 0).toPrecision(3))
  return `${name}: ${capacity} tokens, ${rate} per second, cost ${cost}${refundOnSuccess ? ', refunded on success' : ''}`
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other)
}
