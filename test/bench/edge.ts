/** The request path of the gateway, beside the floor and the Express gateway. */
import path from 'node:path'
import { PUBLIC_USER_PATH, USER_PATH } from './contract.ts'
import { FLOOR, FLOOR_REQUESTS, floorCase } from './floor-case.ts'
import { measureHalfLoad } from './half-load.ts'
import type { Request } from './load.ts'
import { LONG_WARM_UP_SECONDS, loadCase } from './load-case.ts'
import { startPausable } from './pausable.ts'
import { pinnedCommand } from './pinned.ts'
import { acrossRounds, type Case, cpuOf, mean, median, type Outcomes, type Run } from './rounds.ts'
import { startGateway, startScript } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import type { Surroundings } from './surroundings.ts'
import { budgetVerdict, type Row, ratioRow, referenceRow } from './table.ts'
import { accessTokens, hmacTokens } from './tokens.ts'

/** Two processes of each: they differ by up to a tenth, and the budget of what is traced is less. */
const FULL_EDGE = ['full edge', 'full edge again']
const TRACING_OFF = ['tracing off', 'tracing off again']

/** Users who take turns in a load. */
export const PRINCIPALS = 100
/** Tokens for a second of requests of which each has its own: more than a core can verify. */
const TOKENS_PER_SECOND = 8000
const MOST_UNCACHED_EXTRA_US = 3
const MOST_RESIDENT_MB = 150

export async function openEdge(around: Surroundings): Promise<Stage> {
  const { env, contract, backend, key } = around
  const expected = contract.json
  const jwtSecret = 'a secret of the bench, of no use elsewhere'
  const express = await startScript('express', {
    script: 'express/gateway.ts',
    args: [backend.httpOrigin, around.redisUrl],
    env: { ...env, JWT_SECRET: jwtSecret },
  })
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
  const [gateway, gatewayToo, tracedAlways, untraced, untracedToo, other] = await Promise.all([
    startGateway('gateway', traced(0.01)),
    startGateway('gateway-too', traced(0.01)),
    startGateway('gateway-traced-always', traced(1, 'http/json')),
    startGateway('gateway-untraced', around.gateway),
    startGateway('gateway-untraced-too', around.gateway),
    // Of the cases with other requests: those above are compared, and have been through the same.
    startGateway('gateway-other', traced(0.01)),
  ])

  const users = asUsers(accessTokens(key, PRINCIPALS))
  const expressUsers = asUsers(hmacTokens(jwtSecret, PRINCIPALS))
  const cases: Case[] = [
    floorCase(around, 'floor'),
    loadCase({ name: 'transcoding', server: other, requests: () => [{ path: PUBLIC_USER_PATH }], expected }),
    ...Object.entries({
      'full edge': gateway,
      'tracing off': untraced,
      'tracing 100 %': tracedAlways,
      'full edge again': gatewayToo,
      'tracing off again': untracedToo,
    }).map(([name, server]) =>
      loadCase({ name, server, requests: () => users, expected, warmUpSeconds: LONG_WARM_UP_SECONDS }),
    ),
    loadCase({
      name: 'uncached',
      server: other,
      requests: seconds => asUsers(accessTokens(key, TOKENS_PER_SECOND * seconds, PRINCIPALS)),
      expected,
      once: true,
    }),
    { name: 'verification', warmUpSeconds: 1, start: startVerification },
    floorCase(around, 'floor again'),
    loadCase({ name: 'express', server: express, requests: () => expressUsers, expected }),
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
      uncachedRow(outcomes),
      memoryRow(outcomes),
      referenceRow(outcomes, {
        name: 'for comparison: Express gateway (HS256; no revocation, traces, metrics, log)',
        keys: ['express'],
        against: FLOOR,
      }),
      await measureHalfLoad(
        outcomes,
        { server: gateway, requests: users },
        { server: around.floor, requests: FLOOR_REQUESTS },
      ),
    ],
    stop: async () => {
      const servers = [express, gateway, gatewayToo, tracedAlways, untraced, untracedToo, other]
      for (const server of servers) await server.stop()
    },
  }
}

export function asUsers(tokens: readonly string[]): Request[] {
  return tokens.map(token => ({ path: USER_PATH, headers: { authorization: `Bearer ${token}` } }))
}

/** On the measured core, in a process of its own, which counts by itself. */
async function startVerification(): Promise<Run> {
  const script = path.join(import.meta.dirname, 'signature-cost.ts')
  const { pause, resume, end } = startPausable(...pinnedCommand('measured', process.execPath, [script]))
  return { pause: async () => pause(), resume, end: async () => ({ cpuUs: Number(await end()) }) }
}

function uncachedRow(outcomes: Outcomes): Row {
  const keys = ['uncached', 'verification', ...FULL_EDGE]
  const verification = cpuOf(outcomes, ['verification'])
  const excess = median(
    acrossRounds(
      outcomes,
      keys,
      ([uncached = Number.NaN, verify = Number.NaN, ...edge]) => uncached - verify - mean(edge),
    ),
  )
  return {
    name: 'token not in the cache',
    figure: `${cpuOf(outcomes, ['uncached']).toFixed(1)} us CPU; a verification ${verification.toFixed(1)} us`,
    ratio: `full edge + verification ${excess < 0 ? '-' : '+'} ${Math.abs(excess).toFixed(1)} us`,
    budget: `<= full edge + verification + ${MOST_UNCACHED_EXTRA_US} us`,
    verdict: budgetVerdict(outcomes, keys, excess, MOST_UNCACHED_EXTRA_US),
  }
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
