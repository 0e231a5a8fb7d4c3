/** Extends Fastify's router for google.api.http: custom verbs, and the Allow header of a 405 response. */
import { canonicalText, type PathTemplate, parsePathTemplate } from '../contract/path-template.ts'
import type { Route } from '../contract/route-table.ts'

/** Returns the custom verb of a path, such as `restore` in `/v1/users/17:restore`, or the empty string. */
export function verbOf(path: string): string {
  const colon = path.lastIndexOf(':')
  // A verb follows a segment, and a segment is not empty.
  return colon > path.lastIndexOf('/') + 1 ? canonicalText(path.slice(colon + 1)) : ''
}

/** Constraint strategy of find-my-way: selects by custom verb. A verb that no route has is part of the last segment. */
const verbStrategy = {
  name: 'verb',
  storage() {
    // find-my-way does not export the type of its handlers.
    const handlers = new Map<string, never>()
    return {
      get: (verb: string) => handlers.get(verb) ?? null,
      set: (verb: string, handler: unknown) => void handlers.set(verb, handler as never),
    }
  },
  deriveConstraint: (request: { url?: string }) => verbOf(pathOf(request)),
  mustMatchWhenDerived: false,
}

// Distinguishes the source of a template from a path.
const KEY = 'template '

/**
 * Constraint strategy of find-my-way: selects by the literals of a template, the value of the constraint. find-my-way
 * derives it only if a route has such a constraint.
 */
const literalsStrategy = {
  name: 'literals',
  storage() {
    const handlers = new Map<string, { template: PathTemplate; bits: number }>()
    return {
      // find-my-way represents the handlers of a constraint as bits of a number. It also looks up what it has set.
      get(key: string) {
        let all = handlers.get(key)?.bits ?? 0
        for (const { template, bits } of handlers.values()) if (template.matches(key)) all |= bits
        return (all === 0 ? null : all) as never
      },
      set: (key: string, bits: unknown) =>
        void handlers.set(key, { template: parsePathTemplate(key.slice(KEY.length)), bits: bits as number }),
    }
  },
  deriveConstraint: pathOf,
  mustMatchWhenDerived: false,
}

/** The constraints that `routerPath` uses, for the option `constraints` of the router. */
export const routerConstraints = { verb: verbStrategy, literals: literalsStrategy }

function pathOf({ url = '' }: { url?: string }): string {
  return url.split('?', 1)[0] ?? ''
}

/**
 * Returns the sorted methods of a path, for the Allow header (RFC 9110 section 10.2.1). A path with a custom verb has the
 * methods of that verb only. Linear in the number of routes.
 */
export function allowedMethods(routes: readonly Route[], path: string): string[] {
  const matching = routes.filter(route => route.template.matches(path))
  const custom = matching.filter(({ template }) => template.verb !== undefined)
  const methods = new Set((custom.length > 0 ? custom : matching).map(route => route.httpMethod))
  if (methods.has('GET')) methods.add('HEAD')
  return [...methods].sort()
}

/** A path in the notation of find-my-way. */
export interface RouterPath {
  readonly url: string
  readonly constraints?: Readonly<Record<string, string>>
}

/**
 * Returns the custom verbs of other routes on the resources of a template without a verb, such as `restore` for
 * `/v1/users/{id}`. The router would match `PATCH /v1/users/17:restore` as the user with the id `17:restore`.
 */
export function verbsBeside({ template }: Route, routes: readonly Route[]): ReadonlySet<string> {
  if (template.verb !== undefined) return new Set()
  const verbs = new Set<string>()
  for (const { template: other } of routes) {
    if (other.verb !== undefined && template.matches(examplePath(other))) verbs.add(other.verb)
  }
  return verbs
}

function examplePath({ segments, verb }: PathTemplate): string {
  return `/${segments.map(segment => (segment.kind === 'literal' ? segment.canonical : 'x')).join('/')}:${verb}`
}

/**
 * Converts a path template to the notation of find-my-way. Parameter names are arbitrary, as values are extracted from
 * the raw path. These parts become parameters with a constraint:
 *
 * - a verb after a variable, which the router would match as a part of the variable;
 * - a literal with escapes, as the router cannot distinguish `%2F` from `%252F`, or `%2A` from a wildcard.
 */
export function routerPath({
  source,
  segments,
  verb = '',
}: Pick<PathTemplate, 'source' | 'segments' | 'verb'>): RouterPath {
  const last = segments.at(-1)
  const isVerbStatic = isStatic(verb) && (last === undefined || (last.kind === 'literal' && isStatic(last.canonical)))
  const parts = segments.map((segment, index) => {
    if (segment.kind === 'rest') return '*'
    const isText = segment.kind === 'literal' && isStatic(segment.canonical)
    return isText && (segment !== last || isVerbStatic) ? segment.canonical : `:p${index}`
  })
  const hasEscapes = !segments.every(segment => segment.kind !== 'literal' || isStatic(segment.canonical))
  const constraints = {
    ...(!isVerbStatic && verb !== '' && { verb }),
    ...((hasEscapes || !isStatic(verb)) && { literals: KEY + source }),
  }
  const url = `/${parts.join('/')}${isVerbStatic && verb !== '' ? `::${verb}` : ''}`
  return Object.keys(constraints).length === 0 ? { url } : { url, constraints }
}

/** @param text by `canonicalText`. */
function isStatic(text: string): boolean {
  return !text.includes('%')
}
