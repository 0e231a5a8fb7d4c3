/** Stress test: ramps up to 20 times the load and back. Excess requests must be rejected quickly (429 or 503). */
import type { Options } from 'k6/options'
import { durationOr, rate } from './environment.ts'
import { mix } from './mix.ts'

export { login, read, refresh, write } from './scenarios.ts'

const PEAK_FACTOR = 20

export const options: Options = {
  scenarios: mix(rate, perMinute => ({
    executor: 'ramping-arrival-rate',
    startRate: perMinute,
    timeUnit: '1m',
    preAllocatedVUs: Math.max(4, Math.ceil(perMinute / 60)),
    maxVUs: Math.max(40, Math.ceil((perMinute * PEAK_FACTOR) / 60)),
    stages: [
      { duration: '1m', target: perMinute },
      { duration: '3m', target: perMinute * PEAK_FACTOR },
      { duration: durationOr('3m'), target: perMinute * PEAK_FACTOR },
      { duration: '30s', target: perMinute },
      { duration: '1m', target: perMinute },
    ],
  })),
  // The longest deadline of a call is 3 s, except that of a login.
  thresholds: { unexpected: ['rate<0.001'], 'http_req_duration{name:read}': ['p(99)<3000'] },
}
