import { PUBLIC_USER_PATH, USER_PATH } from './contract.ts'
import { FLOOR, FLOOR_REQUESTS, floorCase } from './floor-case.ts'
import { measureHalfLoad } from './half-load.ts'
import type { Request } from './load.ts'
import { LONG_WARM_UP_SECONDS, loadCase } from './load-case.ts'
import type { Case, Outcomes } from './rounds.ts'
import { type ServerUnderTest, startGateway } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import type { Surroundings } from './surroundings.ts'
import { budgetVerdict, type Row, ratioRow, referenceRow } from './table.ts'
import { accessTokens } from './tokens.ts'

/** Two processes of each: they differ by up to a tenth, and the budget of what is traced is less. */
const FULL_EDGE = ['full edge', 'full edge again']
const TRACING_OFF = ['tracing off', 'tracing off again']

/** What is done for one request of a hundred is long in being compiled. */
const RARE_WARM_UP_SECONDS = 14
/** Users who take turns in a load. */
export const PRINCIPALS = 100
const MOST_RESIDENT_MB = 150

export async function openEdge(around: Surroundings): Promise<Stage> {
  const { env, contract, key } = around
  const expected = contract.json
  // Without a place to send them to, no spans are made: that is off.
  const traced = (ratio: number, protocol = 'http/protobuf') => ({
    ...around.gateway,
    env: {
      ...env,
      OTEL_EXPORTER_OTLP_ENDPOINT: around.otlpOrigin,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      TRACE_SAMPLE_RATIO: String(ratio),
    },
  })
  const [gateway, gatewayToo, tracedAlways, untraced, untracedToo, transcoding] = await Promise.all([
    startGateway('gateway', traced(0.01)),
    startGateway('gateway-too', traced(0.01)),
    startGateway('gateway-traced-always', traced(1, 'http/json')),
    startGateway('gateway-untraced', around.gateway),
    startGateway('gateway-untraced-too', around.gateway),
    // Not one of those above: what is compared has been through the same.
    startGateway('gateway-transcoding', traced(0.01)),
  ])

  const users = asUsers(accessTokens(key, PRINCIPALS))
  const edgeCase = (name: string, server: ServerUnderTest, warmUpSeconds = LONG_WARM_UP_SECONDS) =>
    loadCase({ name, server, requests: () => users, expected, warmUpSeconds })
  const cases: Case[] = [
    floorCase(around, 'floor'),
    loadCase({ name: 'transcoding', server: transcoding, requests: () => [{ path: PUBLIC_USER_PATH }], expected }),
    edgeCase('full edge', gateway, RARE_WARM_UP_SECONDS),
    edgeCase('tracing off', untraced),
    edgeCase('tracing 100 %', tracedAlways),
    edgeCase('full edge again', gatewayToo, RARE_WARM_UP_SECONDS),
    edgeCase('tracing off again', untracedToo),
    floorCase(around, 'floor again'),
  ]
  return {
    cases,
    rows: async outcomes => [
      referenceRow(outcomes, { name: 'floor: Fastify, a fixed answer', keys: FLOOR, against: FLOOR }),
      ratioRow(outcomes, {
        name: 'transcoding only, public method',
        keys: ['transcoding'],
        against: FLOOR,
        most: 2,
      }),
      ratioRow(outcomes, { name: 'full edge, everything on', keys: FULL_EDGE, against: FLOOR, most: 3 }),
      ratioRow(outcomes, { name: 'tracing 1 %', keys: FULL_EDGE, against: TRACING_OFF, most: 1.08 }),
      ratioRow(outcomes, {
        name: 'tracing 100 %, OTLP as JSON',
        keys: ['tracing 100 %'],
        against: TRACING_OFF,
        most: 1.6,
      }),
      memoryRow(outcomes),
      await measureHalfLoad(
        outcomes,
        { server: gateway, requests: users },
        { server: around.floor, requests: FLOOR_REQUESTS },
      ),
    ],
    stop: async () => {
      const servers = [gateway, gatewayToo, tracedAlways, untraced, untracedToo, transcoding]
      for (const server of servers) await server.stop()
    },
  }
}

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
    budget: `<= ${MOST_RESIDENT_MB} MB`,
    verdict: budgetVerdict(outcomes, FULL_EDGE, megabytes, MOST_RESIDENT_MB),
  }
}
