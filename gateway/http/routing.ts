/** Extends Fastify's router for google.api.http: custom verbs, and the Allow header of a 405 response. */
import type { PathTemplate } from '../contract/path-template.ts'
import type { Route } from '../contract/route-table.ts'

/** Returns the custom verb of a path, such as `restore` in `/v1/users/17:restore`; the empty string if it has none. */
function verbOf(path: string): string {
  const colon = path.lastIndexOf(':')
  return colon > path.lastIndexOf('/') ? path.slice(colon + 1) : ''
}

/**
 * A constraint strategy of find-my-way that distinguishes routes by their custom verb. If no route has the verb of a
 * path, the verb is treated as a part of the last path segment.
 */
export const verbStrategy = {
  name: 'verb',
  storage() {
    // find-my-way does not export the type of its handlers.
    const handlers = new Map<string, never>()
    return {
      get: (verb: string) => handlers.get(verb) ?? null,
      set: (verb: string, handler: unknown) => void handlers.set(verb, handler as never),
    }
  },
  deriveConstraint: ({ url = '' }: { url?: string }) => verbOf(url.split('?', 1)[0] ?? ''),
  mustMatchWhenDerived: false,
}

/**
 * Returns the sorted methods that a path supports, for the Allow header (RFC 9110 section 10.2.1). Empty if no route has
 * the path. The time is linear in the number of routes, so it is called only when no route matches.
 */
export function allowedMethods(routes: readonly Route[], path: string): string[] {
  const methods = new Set(routes.filter(route => route.template.matches(path)).map(route => route.httpMethod))
  if (methods.has('GET')) methods.add('HEAD')
  return [...methods].sort()
}

/**
 * Converts a path template to the notation of find-my-way. Parameter names are arbitrary, because values are extracted
 * from the raw path. A verb after a literal becomes part of the literal; a verb after a variable becomes a constraint,
 * since the router would otherwise match it as part of the variable.
 */
export function routerPath({ segments, verb }: PathTemplate): { url: string; constraints?: { verb: string } } {
  const parts = segments.map((segment, index) => {
    if (segment.kind === 'rest') return '*'
    return segment.kind === 'single' ? `:p${index}` : segment.text
  })
  const url = `/${parts.join('/')}`
  if (verb === undefined) return { url }
  return segments.at(-1)?.kind === 'literal' ? { url: `${url}::${verb}` } : { url, constraints: { verb } }
}
