import { BASELINE, BASELINE_REQUESTS, baselineCase } from './baseline-case.ts'
import { PUBLIC_USER_PATH, USER_PATH } from './contract.ts'
import type { BenchEnvironment } from './environment.ts'
import { measureHalfLoad } from './half-load.ts'
import type { Request } from './load.ts'
import { LONG_WARM_UP_SECONDS, loadCase } from './load-case.ts'
import type { Case, Outcomes } from './rounds.ts'
import { type ServerUnderTest, startGateway } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import { budgetVerdict, type Row, ratioRow, referenceRow } from './table.ts'
import { accessTokens } from './tokens.ts'

/**
 * Two processes per configuration, because two processes of one program differ by up to 10 %, more than the budget of
 * tracing.
 */
const FULL_EDGE = ['full edge', 'full edge 2']
const TRACING_OFF = ['tracing off', 'tracing off 2']

/** V8 compiles code that runs for 1 % of the requests late. */
const RARE_WARM_UP_SECONDS = 14
/** Number of users whose tokens a load uses in turn. */
export const PRINCIPALS = 100
const MAX_RESIDENT_MB = 150

/** Measures the gateway with everything on, its tracing, its memory and its latency at half load. */
export async function openEdge(environment: BenchEnvironment): Promise<Stage> {
  const { env, contract, key } = environment
  const expected = contract.json
  // Tracing is off if no endpoint is set.
  const traced = (ratio: number, protocol = 'http/protobuf') => ({
    ...environment.gateway,
    env: {
      ...env,
      OTEL_EXPORTER_OTLP_ENDPOINT: environment.otlpOrigin,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      TRACE_SAMPLE_RATIO: String(ratio),
    },
  })
  const [gateway, gateway2, tracedAlways, untraced, untraced2, transcoding] = await Promise.all([
    startGateway('gateway', traced(0.01)),
    startGateway('gateway-2', traced(0.01)),
    startGateway('gateway-traced-always', traced(1, 'http/json')),
    startGateway('gateway-untraced', environment.gateway),
    startGateway('gateway-untraced-2', environment.gateway),
    // A separate process, so that each process has handled one kind of request only.
    startGateway('gateway-transcoding', traced(0.01)),
  ])

  const users = asUsers(accessTokens(key, PRINCIPALS))
  const edgeCase = (name: string, server: ServerUnderTest, warmUpSeconds = LONG_WARM_UP_SECONDS) =>
    loadCase({ name, server, requests: () => users, expected, warmUpSeconds })
  const cases: Case[] = [
    baselineCase(environment, 'baseline'),
    loadCase({ name: 'transcoding', server: transcoding, requests: () => [{ path: PUBLIC_USER_PATH }], expected }),
    edgeCase('full edge', gateway, RARE_WARM_UP_SECONDS),
    edgeCase('tracing off', untraced),
    edgeCase('tracing 100 %', tracedAlways),
    edgeCase('full edge 2', gateway2, RARE_WARM_UP_SECONDS),
    edgeCase('tracing off 2', untraced2),
    baselineCase(environment, 'baseline 2'),
  ]
  return {
    cases,
    rows: async outcomes => [
      referenceRow(outcomes, { name: 'baseline: Fastify, fixed response', keys: BASELINE, against: BASELINE }),
      ratioRow(outcomes, {
        name: 'transcoding only, public method',
        keys: ['transcoding'],
        against: BASELINE,
        maxRatio: 2,
      }),
      ratioRow(outcomes, { name: 'full edge, everything on', keys: FULL_EDGE, against: BASELINE, maxRatio: 3 }),
      ratioRow(outcomes, { name: 'tracing 1 %', keys: FULL_EDGE, against: TRACING_OFF, maxRatio: 1.08 }),
      ratioRow(outcomes, {
        name: 'tracing 100 %, OTLP as JSON',
        keys: ['tracing 100 %'],
        against: TRACING_OFF,
        maxRatio: 1.6,
      }),
      memoryRow(outcomes),
      await measureHalfLoad(
        outcomes,
        { server: gateway, requests: users },
        { server: environment.baseline, requests: BASELINE_REQUESTS },
      ),
    ],
    stop: async () => {
      const servers = [gateway, gateway2, tracedAlways, untraced, untraced2, transcoding]
      for (const server of servers) await server.stop()
    },
  }
}

/** Returns one authenticated request per token. */
export function asUsers(tokens: readonly string[]): Request[] {
  return tokens.map(token => ({ path: USER_PATH, headers: { authorization: `Bearer ${token}` } }))
}

function memoryRow(outcomes: Outcomes): Row {
  const measurements = FULL_EDGE.flatMap(key => outcomes.get(key)?.measurements ?? [])
  const sizes = measurements.map(({ residentBytes = Number.NaN }) => residentBytes)
  const megabytes = sizes.length === 0 ? Number.NaN : Math.max(...sizes) / 1e6
  return {
    name: 'memory of a gateway process under load',
    figure: `${megabytes.toFixed(0)} MB resident`,
    ratio: '',
    budget: `<= ${MAX_RESIDENT_MB} MB`,
    verdict: budgetVerdict(outcomes, FULL_EDGE, megabytes, MAX_RESIDENT_MB),
  }
}
