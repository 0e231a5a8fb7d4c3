/** Builds the OpenAPI document of a gateway: the contract, and what the edge adds to it. */
import { buildOpenApi } from '../contract/openapi/document.ts'
import type { Route } from '../contract/route-table.ts'
import type { LimitSettings } from '../edge/limits/limit-classes.ts'
import { type Limit, type MethodLimits, resolveMethodLimits } from '../edge/limits/method-limits.ts'
import { writeIntroduction } from './introduction.ts'
import { problemsOf } from './method-problems.ts'

export interface ApiDocumentOptions {
  readonly routes: readonly Route[]
  /** The section `api` of gateway.yaml. */
  readonly api: { readonly title: string; readonly version: string; readonly description?: string | undefined }
  readonly limits: LimitSettings
  /** Names of the upstreams that report errors of Gatehouse (`errors: own`). */
  readonly ownUpstreams: ReadonlySet<string>
  readonly publicUrl: string
  /** Maximum size of a request body in bytes. */
  readonly bodyLimit: number
  /** Called for each example in the contract that is not valid. @param name of the field or the message. */
  readonly onInvalidExample?: (name: string, reason: string) => void
}

/** @throws ContractError as `resolveMethodLimits`. */
export function buildApiDocument(options: ApiDocumentOptions): object {
  const { routes, api, limits, ownUpstreams, publicUrl, bodyLimit, onInvalidExample = () => {} } = options
  const byMethod = resolveMethodLimits(routes, limits)
  const limitOf = (route: Route) => limitText(byMethod.get(route.name))
  const possible = (route: Route) => problemsOf(route, limitOf(route) !== undefined, ownUpstreams.has(route.upstream))
  const description =
    api.description ??
    writeIntroduction({ routes, publicUrl, bodyLimit, problemsOf: possible, classes: classesOf(routes, byMethod) })
  return buildOpenApi(routes, {
    title: api.title,
    version: api.version,
    publicUrl,
    description,
    problemsOf: possible,
    limitOf,
    onInvalidExample,
  })
}

/** Returns the rate limit of a method as a sentence; undefined if no request is limited. */
function limitText(limits: MethodLimits | undefined): string | undefined {
  if (limits === undefined) return undefined
  const { byPrincipal, byAddress, unauthenticated } = limits
  // Of a method that requires a user, only failed authentication is charged to the address.
  const anonymous = byPrincipal !== undefined && byAddress === unauthenticated ? undefined : byAddress
  const [limit, other] = [byPrincipal, anonymous].filter(isLimited)
  if (limit === undefined) return undefined
  const cost = limit.cost === 1 ? '' : `, ${limit.cost} tokens per request`
  const without = other === undefined ? '' : `; without a user, class \`${other.className}\``
  const refund = limit.refundOnSuccess ? '; successful requests do not count' : ''
  return `Rate limit: class \`${limit.className}\`${cost}${without}${refund}.`
}

function isLimited(limit: Limit | undefined): limit is Limit & { bucket: Exclude<Limit['bucket'], 'unlimited'> } {
  return limit !== undefined && limit.bucket !== 'unlimited'
}

/** Returns the limits of the classes that the routes use, in the order of first use. */
function classesOf(routes: readonly Route[], byMethod: ReadonlyMap<string, MethodLimits>): Map<string, string> {
  const classes = new Map<string, string>()
  for (const { name } of routes) {
    const { byPrincipal, byAddress, unauthenticated } = byMethod.get(name) as MethodLimits
    for (const limit of [byPrincipal, byAddress, unauthenticated]) {
      if (isLimited(limit)) classes.set(limit.className, rateOf(limit.bucket))
    }
  }
  return classes
}

const UNITS: readonly (readonly [number, string])[] = [
  [3600e6, 'hour'],
  [60e6, 'minute'],
  [1e6, 'second'],
]

function rateOf({ capacityTokens, capacityUnits, refillPerUs }: Exclude<Limit['bucket'], 'unlimited'>): string {
  const tokensPerUs = (refillPerUs / capacityUnits) * capacityTokens
  const [us, unit] = UNITS.findLast(([length]) => tokensPerUs * length >= 1) ?? [3600e6, 'hour']
  const rate = Math.round(tokensPerUs * us * 100) / 100
  return `${capacityTokens.toLocaleString('en')} requests, refilled by ${rate.toLocaleString('en')} per ${unit}`
}
