/**
 * More than the system can do: up to twenty times the load, and back. What is too much must be refused in time, nothing
 * may break, and what is answered must be right.
 */
import type { Options } from 'k6/options'
import { durationOr, rate } from './environment.ts'
import { mix } from './mix.ts'

export { login, read, refresh, write } from './scenarios.ts'

const MOST = 20

export const options: Options = {
  scenarios: mix(rate, perMinute => ({
    executor: 'ramping-arrival-rate',
    startRate: perMinute,
    timeUnit: '1m',
    preAllocatedVUs: Math.max(4, Math.ceil(perMinute / 60)),
    maxVUs: Math.max(40, Math.ceil((perMinute * MOST) / 60)),
    stages: [
      { duration: '1m', target: perMinute },
      { duration: '3m', target: perMinute * MOST },
      { duration: durationOr('3m'), target: perMinute * MOST },
      { duration: '30s', target: perMinute },
      { duration: '1m', target: perMinute },
    ],
  })),
  // 3 s is the longest that a call may take before its deadline, a login's apart.
  thresholds: { unexpected: ['rate<0.001'], 'http_req_duration{name:read}': ['p(99)<3000'] },
}
