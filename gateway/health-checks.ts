/** The dependencies of the gateway whose state `/readyz` shows. */
import { AccessLevel } from '#runtime/grpc/contract.ts'
import type { AuthServiceConnection } from './auth-service.ts'
import type { Route } from './contract/route-table.ts'
import type { HealthCheck } from './http/health.ts'
import type { Upstream } from './upstream/upstreams.ts'

/**
 * Returns one check for the keys of auth-svc, one for the revocations, and one for each upstream. Keys and revocations are
 * required if a route verifies tokens; upstreams are not required.
 */
export function createHealthChecks(
  { keys, follower }: Pick<AuthServiceConnection, 'keys' | 'follower'>,
  upstreams: readonly Pick<Upstream, 'config' | 'transport'>[],
  routes: readonly Pick<Route, 'policy'>[],
): HealthCheck[] {
  const verifiesTokens = routes.some(({ policy }) => policy.access !== AccessLevel.PUBLIC)
  return [
    {
      name: 'keys of auth-svc',
      isRequired: verifiesTokens,
      problem: async () => {
        if (keys.isLoaded) return undefined
        const failure = await keys.refresh().then(
          () => 'it has no usable key',
          (error: Error) => error.message,
        )
        return keys.isLoaded ? undefined : `key set not fetched from auth-svc yet: ${failure}`
      },
    },
    {
      name: 'revocations',
      isRequired: verifiesTokens,
      problem: () => (follower.isStale() ? 'revocations are stale: Redis or auth-svc is unavailable' : undefined),
    },
    ...upstreams.map(({ config, transport }) => ({
      name: `upstream ${config.name}`,
      isRequired: false,
      problem: async () => ((await transport.isServing()) ? undefined : 'health check failed: not serving'),
    })),
  ]
}
