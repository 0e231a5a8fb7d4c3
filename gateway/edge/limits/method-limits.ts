/** Which limit governs a method: what its policy in the contract says, and gateway.yaml where that says otherwise. */
import { AccessLevel, ContractError } from '#runtime/grpc/contract.ts'
import type { Route } from '../../contract/route-table.ts'
import { DEFAULT_CLASSES, type LimitClass, type LimitSettings } from './limit-classes.ts'

export interface Limit {
  readonly className: string
  readonly bucket: LimitClass
  /** Tokens of one request. */
  readonly cost: number
  readonly refundOnSuccess: boolean
}

export interface MethodLimits {
  /** Of who comes without a token; of everybody where `byPrincipal` is undefined. */
  readonly byAddress: Limit
  /** Of who is signed in. */
  readonly byPrincipal: Limit | undefined
  /** Of an address whose token was refused. */
  readonly refused: Limit
}

/** @throws ContractError with every method whose limit cannot be had, one a line. */
export function limitsOfMethods(
  routes: readonly Pick<Route, 'name' | 'policy'>[],
  settings: LimitSettings,
): ReadonlyMap<string, MethodLimits> {
  const faults = new Set<string>()
  const limits = new Map<string, MethodLimits>()
  for (const { name, policy } of routes) {
    try {
      limits.set(name, limitsOf(policy, settings, settings.methods[name]))
    } catch (error) {
      if (!(error instanceof ContractError)) throw error
      faults.add(`${name}: ${error.message}`)
    }
  }
  const known = new Set(routes.map(({ name }) => name))
  for (const name of Object.keys(settings.methods)) {
    if (!known.has(name)) faults.add(`${name}: gateway.yaml limits it, but it is not served`)
  }
  if (faults.size > 0) throw new ContractError(`The rate limits cannot be kept:\n  ${[...faults].join('\n  ')}`)
  return limits
}

function limitsOf(
  { access, rateLimit }: Route['policy'],
  { classes }: LimitSettings,
  override: LimitSettings['methods'][string] = {},
): MethodLimits {
  const named = override.class ?? (rateLimit?.class || undefined)
  const cost = override.cost ?? (rateLimit?.cost || 1)
  const refundOnSuccess = override.refundOnSuccess ?? rateLimit?.refundOnSuccess ?? false

  function limit(className: string, tokens = cost): Limit {
    const bucket = classes[className]
    if (bucket === undefined) throw new ContractError(`gateway.yaml has no class "${className}" among its limits`)
    if (bucket !== 'unlimited' && tokens > bucket.tokens) {
      throw new ContractError(`costs ${tokens}, more than the class "${className}" ever has`)
    }
    return { className, bucket, cost: tokens, refundOnSuccess }
  }

  const refused = { ...limit(DEFAULT_CLASSES.anonymous, 1), refundOnSuccess: false }
  if (access === AccessLevel.USER || access === AccessLevel.ROLES) {
    return { byAddress: refused, byPrincipal: limit(named ?? DEFAULT_CLASSES.signedIn), refused }
  }
  const byAddress = limit(named ?? DEFAULT_CLASSES.anonymous)
  const isPersonal = access === AccessLevel.OPTIONAL && named === undefined
  return { byAddress, byPrincipal: isPersonal ? limit(DEFAULT_CLASSES.signedIn) : undefined, refused }
}
