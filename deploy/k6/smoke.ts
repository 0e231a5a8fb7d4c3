/** Smoke test after a deployment: three iterations of each scenario, all of which must succeed. */
import type { Options } from 'k6/options'

export { login, read, refresh, write } from './scenarios.ts'

const threeIterations = (exec: string) => ({
  executor: 'per-vu-iterations' as const,
  vus: 1,
  iterations: 3,
  maxDuration: '1m',
  exec,
})

export const options: Options = {
  scenarios: {
    login: threeIterations('login'),
    refresh: threeIterations('refresh'),
    read: threeIterations('read'),
    write: threeIterations('write'),
  },
  thresholds: { unexpected: ['rate==0'], shed: ['rate==0'], checks: ['rate==1'] },
}
