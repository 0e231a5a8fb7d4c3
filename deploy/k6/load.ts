/** The load that is meant: requests come at a steady rate, whether those before were answered or not. */
import type { Options } from 'k6/options'
import { durationOr, rate } from './environment.ts'
import { promisedThresholds, steadyMix } from './mix.ts'

export { login, read, refresh, write } from './scenarios.ts'

export const options: Options = {
  scenarios: steadyMix(rate, durationOr('5m')),
  thresholds: promisedThresholds(),
}
