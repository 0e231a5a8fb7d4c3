import type { FastifyInstance } from 'fastify'

export interface HealthCheck {
  readonly name: string
  /** Undefined when ready, else what is wrong, for an operator. */
  problem(): string | undefined | Promise<string | undefined>
}

interface CheckResult {
  readonly name: string
  readonly problem: string | undefined
}

/**
 * `/healthz`: the process answers. `/readyz`: it can do its work, or 503 with what is not ready, by name.
 * @param isReady false while the process drains, so that balancers turn elsewhere.
 */
export function registerHealth(app: FastifyInstance, checks: readonly HealthCheck[], isReady: () => boolean): void {
  app.get('/healthz', () => ({ status: 'ok' }))

  app.get('/readyz', async (_request, reply) => {
    const results = await runChecks(checks)
    if (!isReady()) results.push({ name: 'process', problem: 'is stopping' })
    const failing = results.filter(result => result.problem !== undefined)
    reply.status(failing.length === 0 ? 200 : 503)
    return {
      status: failing.length === 0 ? 'ready' : 'not ready',
      ready: results.filter(result => result.problem === undefined).map(result => result.name),
      notReady: failing,
    }
  })
}

/** Whether there is nothing that the process still lacks. */
export async function isHealthy(checks: readonly HealthCheck[]): Promise<boolean> {
  return (await runChecks(checks)).every(({ problem }) => problem === undefined)
}

function runChecks(checks: readonly HealthCheck[]): Promise<CheckResult[]> {
  return Promise.all(checks.map(async check => ({ name: check.name, problem: await check.problem() })))
}
