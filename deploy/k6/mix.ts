/** How often each scenario happens beside the others, for a number of reads a second. */
import type { Scenario } from 'k6/options'

/** Of reads; logins are few, since each takes a sixth of a second of a core. */
const SHARES = { read: 1, write: 0.1, refresh: 0.1, login: 0.02 }

type ScenarioName = keyof typeof SHARES

/** Milliseconds that the requests of each scenario take at most, for 95 and 99 of a hundred of them. */
const LATENCIES: Record<ScenarioName, { p95: number; p99: number }> = {
  read: { p95: 50, p99: 150 },
  write: { p95: 100, p99: 250 },
  refresh: { p95: 100, p99: 250 },
  login: { p95: 1000, p99: 2500 },
}

/** @param scenarioOf makes one, of its iterations a minute. */
export function mix(reads: number, scenarioOf: (perMinute: number) => object): Record<string, Scenario> {
  const entries = Object.entries(SHARES).map(([name, share]) => [
    name,
    { ...scenarioOf(Math.ceil(reads * share * 60)), exec: name },
  ])
  return Object.fromEntries(entries)
}

/** Requests come at a steady rate, whether those before were answered or not. @param duration as k6 writes it: `5m`. */
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

/** For a load that the system is meant for. */
export function promisedThresholds(): Record<string, string[]> {
  const latencies = Object.entries(LATENCIES).map(([name, { p95, p99 }]) => [
    `http_req_duration{name:${name}}`,
    [`p(95)<${p95}`, `p(99)<${p99}`],
  ])
  return { ...Object.fromEntries(latencies), unexpected: ['rate<0.001'], shed: ['rate<0.001'], checks: ['rate>0.999'] }
}
