/** Whether everything works at all: a few of each, one after another. For after a deployment. */
import type { Options } from 'k6/options'

export { login, read, refresh, write } from './scenarios.ts'

const few = (exec: string) => ({
  executor: 'per-vu-iterations' as const,
  vus: 1,
  iterations: 3,
  maxDuration: '1m',
  exec,
})

export const options: Options = {
  scenarios: { login: few('login'), refresh: few('refresh'), read: few('read'), write: few('write') },
  thresholds: { unexpected: ['rate==0'], shed: ['rate==0'], checks: ['rate==1'] },
}
