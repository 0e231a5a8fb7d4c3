/** Soak test: the load of `load.ts` for hours, to find leaks, growth and expiry. Watch memory and connection pools meanwhile. */
import type { Options } from 'k6/options'
import { durationOr, rate } from './environment.ts'
import { latencyThresholds, steadyMix } from './mix.ts'

export { login, read, refresh, write } from './scenarios.ts'

export const options: Options = {
  scenarios: steadyMix(rate, durationOr('4h')),
  thresholds: latencyThresholds(),
}
