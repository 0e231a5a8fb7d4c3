/** Paths that the gateway serves itself, with GET and HEAD. A route of a contract cannot have them. */
import { ContractError } from '#runtime/grpc/contract.ts'
import type { PathTemplate } from './path-template.ts'

export const RESERVED_PATHS: readonly string[] = [
  '/docs',
  '/docs/',
  '/docs/js/scalar.js',
  '/healthz',
  '/openapi.json',
  '/readyz',
]

/** @throws ContractError if the route has a reserved path; a variable that matches one is allowed, and never gets it. */
export function assertNotReserved(httpMethod: string, { source, segments, verb, withoutRest }: PathTemplate): void {
  if (verb !== undefined || !['GET', 'HEAD', '*'].includes(httpMethod)) return
  for (const candidate of [segments, withoutRest?.segments ?? []]) {
    const literals = candidate.map(segment => (segment.kind === 'literal' ? segment.canonical : undefined))
    const path = `/${literals.join('/')}`
    if (!literals.includes(undefined) && RESERVED_PATHS.includes(path))
      throw new ContractError(`${httpMethod} ${source}: the gateway itself serves ${path}`)
  }
}
