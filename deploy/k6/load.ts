/** The load that is meant: requests come at a steady rate, whether those before were answered or not. */
import type { Options } from 'k6/options'
import { durationOr, rate } from './environment.ts'
import { mix, promisedThresholds } from './mix.ts'

export { login, read, refresh, write } from './scenarios.ts'

export const options: Options = {
  scenarios: mix(rate, perMinute => ({
    executor: 'constant-arrival-rate',
    rate: perMinute,
    timeUnit: '1m',
    duration: durationOr('5m'),
    preAllocatedVUs: Math.max(2, Math.ceil(perMinute / 300)),
    maxVUs: Math.max(10, Math.ceil(perMinute / 30)),
  })),
  thresholds: promisedThresholds(),
}
