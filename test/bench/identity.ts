/** Measures requests through the real services to PostgreSQL: GET /v1/users/me, refreshes and logins. */
import { randomUUID } from 'node:crypto'
import { BASELINE, baselineCase } from './baseline-case.ts'
import { startClosedLoop } from './closed-loop.ts'
import { CpuMeter } from './cpu.ts'
import type { BenchEnvironment } from './environment.ts'
import { loadCase } from './load-case.ts'
import { measureLogins } from './logins.ts'
import { startRealSystem } from './real-system.ts'
import type { Case } from './rounds.ts'
import { type ServerUnderTest, startScript } from './server-under-test.ts'
import { createSessionClient } from './sessions.ts'
import type { Stage } from './stage.ts'
import { ratioRow, referenceRow } from './table.ts'

/** Starts the three services and a minimal refresh handler to compare with. */
export async function openIdentity(environment: BenchEnvironment): Promise<Stage> {
  const system = await startRealSystem(environment)
  system.pinTo('measured')
  const bare = await startScript('bare-refresh', {
    script: 'bare-handlers.ts',
    args: [system.authUrl, system.redisUrl],
    env: environment.env,
  })
  const bareClient = createSessionClient(bare.origin)
  const requests = system.sessions.map(({ accessToken }) => ({
    path: '/v1/users/me',
    headers: { authorization: `Bearer ${accessToken}` },
  }))
  const refreshes = system.sessions.map(session => () => system.client.refresh(session))
  const bareRefreshes = system.sessions.map(() => {
    const session = { refreshToken: randomUUID() }
    return () => bareClient.post('/refresh', session)
  })
  return {
    cases: [
      baselineCase(environment, 'baseline'),
      loadCase({ name: 'users/me', server: system, requests: () => requests }),
      loopCase('refresh', system, refreshes),
      loopCase('bare refresh', bare, bareRefreshes),
      baselineCase(environment, 'baseline 2'),
    ],
    rows: async outcomes => [
      ratioRow(outcomes, {
        name: 'GET /v1/users/me through gateway, user-svc and PostgreSQL (CPU of the services)',
        keys: ['users/me'],
        against: BASELINE,
        maxRatio: 14,
      }),
      ratioRow(outcomes, {
        name: 'refresh with rotation (CPU of the services)',
        keys: ['refresh'],
        against: ['bare refresh'],
        maxRatio: 3.5,
      }),
      referenceRow(outcomes, {
        name: 'bare refresh: one SELECT, one script, two signatures',
        keys: ['bare refresh'],
        against: BASELINE,
      }),
      ...(await measureLogins(system)),
    ],
    stop: async () => {
      bareClient.close()
      await bare.stop()
      await system.stop()
    },
  }
}

/** A case without a load generator, because each request needs the token of the previous response. */
function loopCase(name: string, server: ServerUnderTest, workers: readonly (() => Promise<unknown>)[]): Case {
  return {
    name,
    async start() {
      const meter = new CpuMeter(server.pids)
      meter.start()
      const startedAt = performance.now()
      const loop = startClosedLoop(workers)
      return {
        async pause() {
          await loop.pause()
          meter.stop()
        },
        resume() {
          meter.start()
          loop.resume()
        },
        async end() {
          const done = await loop.end()
          meter.stop()
          server.clearLogs()
          return { cpuUs: meter.used / done, rate: done / ((performance.now() - startedAt) / 1000) }
        },
      }
    },
  }
}
