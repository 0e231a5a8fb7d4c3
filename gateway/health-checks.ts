/** The dependencies of the gateway whose state `/readyz` shows. */
import type { AuthServiceConnection } from './auth-service.ts'
import type { HealthCheck } from './http/health.ts'
import type { Transport } from './upstream/transport.ts'

/** An upstream, as its health checks see it. */
export interface CheckedUpstream {
  readonly name: string
  readonly transport: Pick<Transport, 'isServing'>
  /** Returns what is wrong with the contract, if that is read by reflection. */
  readonly contractProblem?: (() => string | undefined) | undefined
}

/**
 * Returns one check for the keys of auth-svc, one for the revocations, and for each upstream one, and one for its contract if
 * that is read by reflection. Upstreams are not required.
 * @param auth undefined if no route verifies tokens. Then there are neither keys nor revocations to check.
 */
export function createHealthChecks(
  auth: Pick<AuthServiceConnection, 'keys' | 'follower'> | undefined,
  upstreams: readonly CheckedUpstream[],
): HealthCheck[] {
  return [
    ...(auth === undefined ? [] : tokenChecks(auth)),
    ...upstreams.map(({ name, transport }) => ({
      name: `upstream ${name}`,
      isRequired: false,
      problem: async () => ((await transport.isServing()) ? undefined : 'health check failed: not serving'),
    })),
    ...upstreams.flatMap(({ name, contractProblem: problem }) =>
      problem === undefined ? [] : [{ name: `contract of ${name}`, isRequired: false, problem }],
    ),
  ]
}

function tokenChecks({ keys, follower }: Pick<AuthServiceConnection, 'keys' | 'follower'>): HealthCheck[] {
  return [
    {
      name: 'keys of auth-svc',
      isRequired: true,
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
      isRequired: true,
      problem: () => (follower.isStale() ? 'revocations are stale: Redis or auth-svc is unavailable' : undefined),
    },
  ]
}
