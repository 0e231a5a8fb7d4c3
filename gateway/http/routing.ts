/** Path templates in the notation of Fastify's router, custom verbs, and the Allow header of a 405 response. */
import { canonicalText, type PathTemplate } from '../contract/path-template.ts'
import { RESERVED_PATHS } from '../contract/reserved-paths.ts'
import type { Route } from '../contract/route-table.ts'

/** Returns the custom verb of a path, such as `restore` in `/v1/users/17:restore`, or the empty string. */
export function verbOf(path: string): string {
  const colon = path.lastIndexOf(':')
  const slash = path.lastIndexOf('/')
  // A verb follows a segment, and a segment is not empty. In `/:verb`, `**` has no segment.
  return colon > slash + 1 || (colon === 1 && slash === 0) ? canonicalText(path.slice(colon + 1)) : ''
}

/**
 * Returns the sorted methods of a path, for the Allow header (RFC 9110 section 10.2.1). A path with a custom verb has the
 * methods of that verb only. Linear in the number of routes.
 */
export function allowedMethods(routes: readonly Route[], path: string): string[] {
  const matching = routes.filter(route => route.template.matches(path))
  const custom = matching.filter(({ template }) => template.verb !== undefined)
  const methods = new Set((custom.length > 0 ? custom : matching).map(route => route.httpMethod))
  if (RESERVED_PATHS.includes(path)) methods.add('GET')
  if (methods.has('GET')) methods.add('HEAD')
  return [...methods].sort()
}

/** A path in the notation of find-my-way, and what it does not express. */
export interface RouterPath {
  readonly url: string
  /** The verb that the router does not compare; empty if there is none. */
  readonly verb: string
  /** Whether the template has literals that the router does not compare. */
  readonly hasEscapes: boolean
}

/**
 * Returns the custom verbs of other routes on paths of a template without a verb, such as `restore` for `/v1/users/{id}`.
 * The router would match `PATCH /v1/users/17:restore` as the user with the id `17:restore`.
 */
export function verbsBeside({ template }: Route, routes: readonly Route[]): ReadonlySet<string> {
  if (template.verb !== undefined) return new Set()
  return new Set(routes.flatMap(({ template: other }) => (overlaps(template, other) ? (other.verb ?? []) : [])))
}

/** Whether some segments match both templates. */
export function overlaps({ segments: one }: PathTemplate, { segments: other }: PathTemplate): boolean {
  for (let at = 0; ; at++) {
    const [mine, its] = [one[at], other[at]]
    if (mine?.kind === 'rest' || its?.kind === 'rest') return true
    if (mine === undefined || its === undefined) return mine === its
    if (mine.kind === 'literal' && its.kind === 'literal' && mine.canonical !== its.canonical) return false
  }
}

/**
 * Converts a path template to the notation of find-my-way. Parameter names are arbitrary, as values are extracted from
 * the raw path. These parts become parameters, and the router does not compare them:
 *
 * - a verb after a variable, which the router would match as a part of the variable;
 * - a literal with escapes, as the router cannot distinguish `%2F` from `%252F`, or `%2A` from a wildcard.
 */
export function routerPath({ segments, verb = '' }: Pick<PathTemplate, 'segments' | 'verb'>): RouterPath {
  const last = segments.at(-1)
  const isVerbStatic = isStatic(verb) && (last === undefined || (last.kind === 'literal' && isStatic(last.canonical)))
  const parts = segments.map((segment, index) => {
    if (segment.kind === 'rest') return '*'
    const isText = segment.kind === 'literal' && isStatic(segment.canonical)
    return isText && (segment !== last || isVerbStatic) ? segment.canonical : `:p${index}`
  })
  // `/:verb`, in which `**` has no segment.
  if (last === undefined && !isVerbStatic) parts.push(':p0')
  return {
    url: `/${parts.join('/')}${isVerbStatic && verb !== '' ? `::${verb}` : ''}`,
    verb: isVerbStatic || last === undefined ? '' : verb,
    hasEscapes: !isStatic(verb) || segments.some(segment => segment.kind === 'literal' && !isStatic(segment.canonical)),
  }
}

/** @param text by `canonicalText`. */
function isStatic(text: string): boolean {
  return !text.includes('%')
}
