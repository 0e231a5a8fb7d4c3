/** The dependencies that `/readyz` of the gateway checks. */
import type { AuthServiceConnection } from './auth-service.ts'
import type { HealthCheck } from './http/health.ts'
import type { Upstream } from './upstream/upstreams.ts'

/** Returns one check for the keys of auth-svc, one for the revocations, and one for each upstream. */
export function createHealthChecks(
  { keys, follower }: Pick<AuthServiceConnection, 'keys' | 'follower'>,
  upstreams: readonly Pick<Upstream, 'config' | 'transport'>[],
): HealthCheck[] {
  return [
    {
      name: 'keys of auth-svc',
      problem: async () => {
        if (!keys.isLoaded) await keys.refresh().catch(() => {})
        return keys.isLoaded ? undefined : 'key set not fetched from auth-svc yet'
      },
    },
    {
      name: 'revocations',
      problem: () => (follower.isStale() ? 'revocations are stale: Redis or auth-svc is unavailable' : undefined),
    },
    ...upstreams.map(({ config, transport }) => ({
      name: `upstream ${config.name}`,
      problem: async () => ((await transport.isServing()) ? undefined : 'health check failed: not serving'),
    })),
  ]
}
