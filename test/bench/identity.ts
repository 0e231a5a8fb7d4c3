/** What goes through the real processes to PostgreSQL: a user's own account, and refreshes. */
import { randomUUID } from 'node:crypto'
import { startClosedLoop } from './closed-loop.ts'
import { CpuMeter } from './cpu.ts'
import { FLOOR, floorCase } from './floor-case.ts'
import { loadCase } from './load-case.ts'
import { measureLogins } from './logins.ts'
import { startRealSystem } from './real-system.ts'
import type { Case } from './rounds.ts'
import { type ServerUnderTest, startScript } from './server-under-test.ts'
import { createSessionClient } from './sessions.ts'
import type { Stage } from './stage.ts'
import type { Surroundings } from './surroundings.ts'
import { ratioRow, referenceRow } from './table.ts'

export async function openIdentity(around: Surroundings): Promise<Stage> {
  const system = await startRealSystem(around)
  system.moveTo('measured')
  const bare = await startScript('bare-refresh', {
    script: 'bare-handlers.ts',
    args: [system.authUrl, system.redisUrl],
    env: around.env,
  })
  const bareClient = createSessionClient(bare.origin)
  const asThemselves = system.people.map(({ accessToken }) => ({
    path: '/v1/users/me',
    headers: { authorization: `Bearer ${accessToken}` },
  }))
  const refreshes = system.people.map(person => () => system.client.refresh(person))
  const bareRefreshes = system.people.map(() => {
    const session = { refreshToken: randomUUID() }
    return () => bareClient.post('/refresh', session)
  })
  return {
    cases: [
      floorCase(around, 'floor'),
      loadCase({ name: 'users/me', server: system, requests: () => asThemselves }),
      loopCase('refresh', system, refreshes),
      loopCase('bare refresh', bare, bareRefreshes),
      floorCase(around, 'floor again'),
    ],
    rows: async outcomes => [
      ratioRow(outcomes, {
        name: 'GET /v1/users/me through gateway, user-svc, PostgreSQL: our processes',
        keys: ['users/me'],
        against: FLOOR,
        most: 14,
      }),
      ratioRow(outcomes, {
        name: 'refresh with rotation: our processes',
        keys: ['refresh'],
        against: ['bare refresh'],
        most: 3.5,
      }),
      referenceRow(outcomes, {
        name: 'bare refresh: one select, one script, two signatures',
        keys: ['bare refresh'],
        against: FLOOR,
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

/** Not by a load generator: each request needs what the one before was answered. */
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
