/** The mix of scenarios: the rate of each, relative to the reads per second. */
import type { Scenario } from 'k6/options'

/**
 * Rate of each scenario relative to reads. Logins are rare, because each uses a core for a sixth of a second, and because
 * gateway.yaml admits 20 sign-ins a minute from one client address: at the default RATE, the mix has 15.
 */
const SHARES = { read: 1, write: 0.1, refresh: 0.1, login: 0.005 }

type ScenarioName = keyof typeof SHARES

/** Maximum response time of each scenario at the 95th and the 99th percentile, in milliseconds. */
const LATENCIES: Record<ScenarioName, { p95: number; p99: number }> = {
  read: { p95: 50, p99: 150 },
  write: { p95: 100, p99: 250 },
  refresh: { p95: 100, p99: 250 },
  login: { p95: 1000, p99: 2500 },
}

/** Builds the four scenarios. @param scenarioOf returns the executor for a number of iterations per minute. */
export function mix(reads: number, scenarioOf: (perMinute: number) => object): Record<string, Scenario> {
  const entries = Object.entries(SHARES).map(([name, share]) => [
    name,
    { ...scenarioOf(Math.ceil(reads * share * 60)), exec: name },
  ])
  return Object.fromEntries(entries)
}

/** Builds the four scenarios with constant arrival rates, independent of response times (open model). */
export function steadyMix(reads: number, duration: string): Record<string, Scenario> {
  return mix(reads, perMinute => ({
    executor: 'constant-arrival-rate',
    rate: perMinute,
    timeUnit: '1m',
    duration,
    preAllocatedVUs: Math.max(2, Math.ceil(perMinute / 300)),
    maxVUs: Math.max(10, Math.ceil(perMinute / 30)),
  }))
}

/** Thresholds at the design load: latencies, and at most 0.1 % shed or unexpected responses. */
export function latencyThresholds(): Record<string, string[]> {
  const latencies = Object.entries(LATENCIES).map(([name, { p95, p99 }]) => [
    `http_req_duration{name:${name}}`,
    [`p(95)<${p95}`, `p(99)<${p99}`],
  ])
  return { ...Object.fromEntries(latencies), unexpected: ['rate<0.001'], shed: ['rate<0.001'], checks: ['rate>0.999'] }
}
