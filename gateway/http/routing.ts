/** Extends Fastify's router for google.api.http: custom verbs, and the Allow header of a 405 response. */
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
