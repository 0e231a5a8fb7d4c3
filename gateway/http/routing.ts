/** What the router needs to know of google.api.http: custom verbs, and the Allow of a 405. */
import type { Route } from '../contract/route-table.ts'

/** The verb of a path, `restore` in `/v1/users/17:restore`: what follows the last colon of the last segment; or empty. */
function verbOf(path: string): string {
  const colon = path.lastIndexOf(':')
  return colon > path.lastIndexOf('/') ? path.slice(colon + 1) : ''
}

/** Tells routes apart that differ in their verb only. A verb that no route has is part of the last segment. */
export const verbStrategy = {
  name: 'verb',
  storage() {
    // The router's own handlers: it alone knows their type.
    const handlers = new Map<string, never>()
    return {
      get: (verb: string) => handlers.get(verb) ?? null,
      set: (verb: string, handler: unknown) => void handlers.set(verb, handler as never),
    }
  },
  deriveConstraint: ({ url = '' }: { url?: string }) => verbOf(url.split('?', 1)[0] ?? ''),
  mustMatchWhenDerived: false,
}

/** The methods that a path is served with, RFC 9110 section 10.2.1. Only asked when the path was not found. */
export function allowedMethods(routes: readonly Route[], path: string): string[] {
  const methods = new Set(routes.filter(route => route.template.matches(path)).map(route => route.httpMethod))
  if (methods.has('GET')) methods.add('HEAD')
  return [...methods].sort()
}
