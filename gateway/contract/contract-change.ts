/**
 * What a contract that changes while the gateway runs may not do, because no operator has seen it: weaken the access to a
 * method or a path, or take a path from another upstream.
 */
import type { Policy } from '#runtime/grpc/contract.ts'
import type { PathTemplate } from './path-template.ts'
import { type PolicyContext, weakenedFields } from './policy-strictness.ts'
import type { Route } from './route-table.ts'

/** The last policy of each method, and of each HTTP method and path template, that an upstream has had. */
export type ServedPolicies = ReadonlyMap<string, Policy>

/** Adds the policies of routes. Those of removed routes stay: they count again when the route comes back. */
export function recordPolicies(routes: readonly Route[], before: ServedPolicies = new Map()): ServedPolicies {
  return new Map([
    ...before,
    ...routes.flatMap(route => [[`RPC ${route.name}`, route.policy] as const, [pathOf(route), route.policy] as const]),
  ])
}

/**
 * Returns what is wrong with the next routes of an upstream, one line each.
 * @param served policies of the upstream since gateway.yaml was read.
 * @param others routes that the other upstreams had before the change.
 */
export function findChangeProblems(
  routes: readonly Route[],
  served: ServedPolicies,
  others: readonly Route[],
  context: PolicyContext,
): string[] {
  const weakened = [...recordPolicies(routes)].flatMap(([key, policy]) => {
    const before = served.get(key)
    const fields = before === undefined ? [] : weakenedFields(before, policy, context)
    return fields.length === 0 ? [] : [`${key}: ${fields.join(' and ')} of its policy would be weaker`]
  })
  const taken = routes.flatMap(route => {
    if (served.has(pathOf(route))) return []
    const other = others.find(candidate => takesPath(route, candidate))
    if (other === undefined) return []
    return [
      `${pathOf(route)} of ${route.name} would take paths of ${pathOf(other)} (${other.name}, upstream ${other.upstream})`,
    ]
  })
  return [...weakened, ...taken]
}

function pathOf({ httpMethod, template }: Route): string {
  return `${httpMethod} /${template.shape}`
}

/** Whether requests that match `other` alone would not reach it any more, because of `route`. */
function takesPath(route: Route, other: Route): boolean {
  const [mine, its] = [route.httpMethod, other.httpMethod]
  // HEAD comes with GET, and GET with `*`, unless another route has the path with that method.
  if (route.template.shape === other.template.shape) return mine === its || (mine === 'HEAD' && its === 'GET')
  const sharesMethod = mine === its || (READING.has(mine) && READING.has(its))
  // A path with a custom verb has the methods of that verb only.
  const addsVerb = route.template.verb !== undefined && other.template.verb === undefined
  return (sharesMethod || addsVerb) && isPreferred(route.template, other.template)
}

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD'])

/** Whether some path matches both templates, and goes to the first. */
function isPreferred(mine: PathTemplate, its: PathTemplate): boolean {
  // A path with the verb of a template matches no other verb, and a template without one only in its last variable.
  if (its.verb !== undefined && its.verb !== mine.verb) return false
  let isMoreSpecific = mine.verb !== its.verb
  for (let at = 0; ; at++) {
    const [own, other] = [mine.segments[at], its.segments[at]]
    if (own === undefined && other === undefined) return isMoreSpecific
    if (other?.kind === 'rest') return isMoreSpecific || own?.kind !== 'rest'
    if (own?.kind === 'rest') return isMoreSpecific
    if (own === undefined || other === undefined) return false
    if (own.kind === 'literal' && other.kind === 'literal' && own.canonical !== other.canonical) return false
    if (own.kind === 'literal' && other.kind === 'single') isMoreSpecific = true
  }
}
