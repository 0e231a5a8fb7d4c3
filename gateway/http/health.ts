/** The liveness endpoint `/healthz` and the readiness endpoint `/readyz`. */
import type { FastifyInstance } from 'fastify'

/** A dependency that the process needs in order to serve requests. */
export interface HealthCheck {
  readonly name: string
  /** Returns undefined if the dependency is ready, otherwise the reason, for an operator. Must not reject. */
  problem(): string | undefined | Promise<string | undefined>
}

interface CheckResult {
  readonly name: string
  readonly problem: string | undefined
}

/**
 * Registers `/healthz`, which always returns 200, and `/readyz`, which returns 503 with the failed checks if any fails.
 * @param isReady false while the process drains: `/readyz` then returns 503, so that load balancers stop using it.
 */
export function registerHealth(app: FastifyInstance, checks: readonly HealthCheck[], isReady: () => boolean): void {
  app.get('/healthz', () => ({ status: 'ok' }))

  app.get('/readyz', async (_request, reply) => {
    const results = await runChecks(checks)
    if (!isReady()) results.push({ name: 'process', problem: 'draining' })
    const failed = results.filter(({ problem }) => problem !== undefined)
    reply.status(failed.length === 0 ? 200 : 503)
    return {
      status: failed.length === 0 ? 'ready' : 'not ready',
      ready: results.filter(({ problem }) => problem === undefined).map(({ name }) => name),
      notReady: failed,
    }
  })
}

export async function isHealthy(checks: readonly HealthCheck[]): Promise<boolean> {
  return (await runChecks(checks)).every(({ problem }) => problem === undefined)
}

function runChecks(checks: readonly HealthCheck[]): Promise<CheckResult[]> {
  return Promise.all(checks.map(async check => ({ name: check.name, problem: await check.problem() })))
}
