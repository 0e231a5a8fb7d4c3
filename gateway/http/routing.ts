/** Extends Fastify's router for google.api.http: custom verbs, and the Allow header of a 405 response. */
import type { PathTemplate } from '../contract/path-template.ts'
import type { Route } from '../contract/route-table.ts'

/** Returns the custom verb of a path, such as `restore` in `/v1/users/17:restore`, or the empty string. */
function verbOf(path: string): string {
  const colon = path.lastIndexOf(':')
  return colon > path.lastIndexOf('/') ? path.slice(colon + 1) : ''
}

/** Constraint strategy of find-my-way: selects by custom verb. A verb that no route has is part of the last segment. */
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

/** Returns the sorted methods of a path, for the Allow header (RFC 9110 section 10.2.1). Linear in the number of routes. */
export function allowedMethods(routes: readonly Route[], path: string): string[] {
  const methods = new Set(routes.filter(route => route.template.matches(path)).map(route => route.httpMethod))
  if (methods.has('GET')) methods.add('HEAD')
  return [...methods].sort()
}

/**
 * Converts a path template to the notation of find-my-way. Parameter names are arbitrary, as values are extracted from
 * the raw path. A verb after a variable becomes a constraint: the router would match it as a part of the variable.
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
