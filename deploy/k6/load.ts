/** Load test: requests arrive at the constant rate that the system is designed for, independent of response times. */
import type { Options } from 'k6/options'
import { durationOr, rate } from './environment.ts'
import { latencyThresholds, steadyMix } from './mix.ts'

export { login, read, refresh, write } from './scenarios.ts'

export const options: Options = {
  scenarios: steadyMix(rate, durationOr('5m')),
  thresholds: latencyThresholds(),
}
