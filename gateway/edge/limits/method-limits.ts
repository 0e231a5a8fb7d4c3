/** The rate limits of each method, from its policy in the contract and the overrides in gateway.yaml. */
import { AccessLevel, ContractError } from '#runtime/grpc/contract.ts'
import type { Route } from '../../contract/route-table.ts'
import { DEFAULT_CLASSES, type LimitClass, type LimitSettings } from './limit-classes.ts'

export interface Limit {
  readonly className: string
  readonly bucket: LimitClass
  /** Tokens per request. */
  readonly cost: number
  /** Whether a 2xx response refunds the cost. */
  readonly refundOnSuccess: boolean
}

/** The limits of one method. Each request is charged to at most one of them. */
export interface MethodLimits {
  /** Charged to the client address: anonymous requests, and all requests if `byPrincipal` is undefined. */
  readonly byAddress: Limit
  /** Charged to the authenticated user; undefined if the method is limited by address only. */
  readonly byPrincipal: Limit | undefined
  /** Charged to the client address if authentication fails. */
  readonly unauthenticated: Limit
}

/** A rate limit that is invalid. */
export interface LimitProblem {
  /** Full name of the method, such as `user.v1.UserService/GetUser`. */
  readonly method: string
  readonly message: string
}

/** The limits of all methods that are valid, by name of the method. */
export interface LimitsInspection {
  readonly limits: ReadonlyMap<string, MethodLimits>
  /** Unknown classes, costs above the capacity and unknown methods in gateway.yaml. */
  readonly problems: readonly LimitProblem[]
}

type LimitedRoute = Pick<Route, 'name' | 'policy'>

/** @throws ContractError that lists the problems of `inspectMethodLimits`. */
export function resolveMethodLimits(
  routes: readonly LimitedRoute[],
  settings: LimitSettings,
): ReadonlyMap<string, MethodLimits> {
  const { limits, problems } = inspectMethodLimits(routes, settings)
  if (problems.length === 0) return limits
  const lines = problems.map(({ method, message }) => `${method}: ${message}`)
  throw new ContractError(`Invalid rate limits:\n  ${lines.join('\n  ')}`)
}

export function inspectMethodLimits(routes: readonly LimitedRoute[], settings: LimitSettings): LimitsInspection {
  const problems: LimitProblem[] = []
  const limits = new Map<string, MethodLimits>()
  // A method with several routes has one policy.
  const policies = new Map(routes.map(({ name, policy }) => [name, policy]))
  for (const [method, policy] of policies) {
    try {
      limits.set(method, resolveLimits(policy, settings, settings.methods[method]))
    } catch (error) {
      if (!(error instanceof ContractError)) throw error
      problems.push({ method, message: error.message })
    }
  }
  for (const method of Object.keys(settings.methods)) {
    if (!policies.has(method)) {
      problems.push({ method, message: 'gateway.yaml sets a limit, but no upstream exposes this method' })
    }
  }
  return { limits, problems }
}

function resolveLimits(
  { access, rateLimit }: Route['policy'],
  { classes }: LimitSettings,
  override: LimitSettings['methods'][string] = {},
): MethodLimits {
  const namedClass = override.class ?? (rateLimit?.class || undefined)
  const cost = override.cost ?? (rateLimit?.cost || 1)
  const refundOnSuccess = override.refundOnSuccess ?? rateLimit?.refundOnSuccess ?? false

  function limit(className: string, tokens = cost): Limit {
    const bucket = classes[className]
    if (bucket === undefined) throw new ContractError(`rate-limit class "${className}" is not defined in gateway.yaml`)
    if (bucket !== 'unlimited' && tokens > bucket.capacityTokens) {
      throw new ContractError(`cost ${tokens} exceeds the capacity of class "${className}", ${bucket.capacityTokens}`)
    }
    return { className, bucket, cost: tokens, refundOnSuccess }
  }

  const unauthenticated = { ...limit(DEFAULT_CLASSES.anonymous, 1), refundOnSuccess: false }
  if (access === AccessLevel.USER || access === AccessLevel.ROLES) {
    const byPrincipal = limit(namedClass ?? DEFAULT_CLASSES.authenticated)
    return { byAddress: unauthenticated, byPrincipal, unauthenticated }
  }
  const byAddress = limit(namedClass ?? DEFAULT_CLASSES.anonymous)
  const isLimitedByPrincipal = access === AccessLevel.OPTIONAL && namedClass === undefined
  const byPrincipal = isLimitedByPrincipal ? limit(DEFAULT_CLASSES.authenticated) : undefined
  return { byAddress, byPrincipal, unauthenticated }
}
