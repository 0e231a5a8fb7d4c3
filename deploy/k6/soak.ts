/** The load that is meant, for hours: what leaks, grows or expires shows. Watch memory and pools beside it. */
import type { Options } from 'k6/options'
import { durationOr, rate } from './environment.ts'
import { promisedThresholds, steadyMix } from './mix.ts'

export { login, read, refresh, write } from './scenarios.ts'

export const options: Options = {
  scenarios: steadyMix(rate, durationOr('4h')),
  thresholds: promisedThresholds(),
}
