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

/** @throws ContractError that lists unknown classes, costs above the capacity and unknown methods in gateway.yaml. */
export function resolveMethodLimits(
  routes: readonly Pick<Route, 'name' | 'policy'>[],
  settings: LimitSettings,
): ReadonlyMap<string, MethodLimits> {
  const problems = new Set<string>()
  const limits = new Map<string, MethodLimits>()
  for (const { name, policy } of routes) {
    try {
      limits.set(name, resolveLimits(policy, settings, settings.methods[name]))
    } catch (error) {
      if (!(error instanceof ContractError)) throw error
      problems.add(`${name}: ${error.message}`)
    }
  }
  const exposed = new Set(routes.map(({ name }) => name))
  for (const name of Object.keys(settings.methods)) {
    if (!exposed.has(name)) problems.add(`${name}: gateway.yaml sets a limit, but no upstream exposes this method`)
  }
  if (problems.size > 0) throw new ContractError(`Invalid rate limits:\n  ${[...problems].join('\n  ')}`)
  return limits
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
