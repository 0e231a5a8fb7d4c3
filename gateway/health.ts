import type { FastifyInstance } from 'fastify'

export interface HealthCheck {
  readonly name: string
  /** Undefined when ready, else what is wrong, for an operator. */
  problem(): string | undefined | Promise<string | undefined>
}

/**
 * `/healthz`: the process answers. `/readyz`: it can do its work, or 503 with what is not ready, by name.
 * @param isStopping makes the process not ready while it drains, so that balancers turn elsewhere.
 */
export function registerHealth(app: FastifyInstance, checks: readonly HealthCheck[], isStopping: () => boolean): void {
  app.get('/healthz', () => ({ status: 'ok' }))

  app.get('/readyz', async (_request, reply) => {
    const results = await Promise.all(checks.map(async check => ({ name: check.name, problem: await check.problem() })))
    if (isStopping()) results.push({ name: 'process', problem: 'is stopping' })
    const failing = results.filter(result => result.problem !== undefined)
    reply.status(failing.length === 0 ? 200 : 503)
    return {
      status: failing.length === 0 ? 'ready' : 'not ready',
      ready: results.filter(result => result.problem === undefined).map(result => result.name),
      notReady: failing,
    }
  })
}
