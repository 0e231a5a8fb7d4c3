/** The request path of the gateway, beside the floor and the Express gateway. */
import path from 'node:path'
import { PUBLIC_USER_PATH, USER_PATH } from './contract.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import type { PacedTarget } from './half-load.ts'
import type { Request } from './load.ts'
import { LONG_WARM_UP_SECONDS, loadCase } from './load-case.ts'
import { startPausable } from './pausable.ts'
import { pinnedCommand } from './pinned.ts'
import { type Case, cpuOf, medianAcross, type Outcomes, type Run, type RunTime } from './rounds.ts'
import { startGateway, startScript } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import type { Surroundings } from './surroundings.ts'
import { budgetVerdict, type Row, ratioRow, referenceRow } from './table.ts'
import { accessTokens, hmacTokens } from './tokens.ts'

/** Users who take turns in a load. */
export const PRINCIPALS = 100
/** Tokens for a second of requests of which each has its own: more than a core can verify. */
const TOKENS_PER_SECOND = 14_000
const MOST_UNCACHED_EXTRA_US = 3
const MOST_RESIDENT_MB = 150

export interface EdgeStage extends Stage {
  /** With the requests of its load. */
  readonly gateway: PacedTarget
  readonly floor: PacedTarget
}

export async function openEdge(around: Surroundings): Promise<EdgeStage> {
  const { env, contract, backend, key } = around
  const expected = contract.json
  const jwtSecret = 'a secret of the bench, of no use elsewhere'
  const floor = await startScript('floor', {
    script: 'floor.ts',
    args: [path.join(BENCH_DIRECTORY, 'user.json')],
    env,
  })
  const express = await startScript('express', {
    script: 'express/gateway.ts',
    args: [backend.httpOrigin, around.redisUrl],
    env: { ...env, JWT_SECRET: jwtSecret },
  })
  // Without a place to send them to, no spans are made: that is off.
  const traced = (ratio: number) => ({
    ...around.gateway,
    env: { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: around.otlpOrigin, TRACE_SAMPLE_RATIO: String(ratio) },
  })
  const gateway = await startGateway('gateway', traced(0.01))
  // Not the one above: what is compared has been through the same, and that one has other cases too.
  const tracedSome = await startGateway('gateway-traced', traced(0.01))
  const tracedAlways = await startGateway('gateway-traced-always', traced(1))
  const untraced = await startGateway('gateway-untraced', around.gateway)

  const fixed: Request[] = [{ path: USER_PATH }]
  const users = asUsers(accessTokens(key, PRINCIPALS))
  const expressUsers = asUsers(hmacTokens(jwtSecret, PRINCIPALS))
  const cases: Case[] = [
    loadCase({ name: 'floor', server: floor, requests: () => fixed, expected }),
    loadCase({ name: 'transcoding', server: gateway, requests: () => [{ path: PUBLIC_USER_PATH }], expected }),
    loadCase({ name: 'full edge', server: gateway, requests: () => users, expected }),
    ...Object.entries({ 'tracing off': untraced, 'tracing 1 %': tracedSome, 'tracing 100 %': tracedAlways }).map(
      ([name, server]) =>
        loadCase({ name, server, requests: () => users, expected, warmUpSeconds: LONG_WARM_UP_SECONDS }),
    ),
    loadCase({
      name: 'uncached',
      server: gateway,
      requests: seconds => asUsers(accessTokens(key, TOKENS_PER_SECOND * seconds, PRINCIPALS)),
      expected,
      once: true,
    }),
    { name: 'verification', start: startVerification },
    loadCase({ name: 'express', server: express, requests: () => expressUsers, expected }),
  ]
  return {
    gateway: { server: gateway, requests: users },
    floor: { server: floor, requests: fixed },
    cases,
    rows: outcomes => [
      referenceRow(outcomes, 'floor: Fastify, a fixed answer', 'floor', 'floor'),
      ratioRow(outcomes, { name: 'transcoding only, public method', key: 'transcoding', against: 'floor', most: 2 }),
      ratioRow(outcomes, { name: 'full edge, everything on', key: 'full edge', against: 'floor', most: 3 }),
      ratioRow(outcomes, { name: 'tracing 1 %', key: 'tracing 1 %', against: 'tracing off', most: 1.08 }),
      ratioRow(outcomes, { name: 'tracing 100 %', key: 'tracing 100 %', against: 'tracing off', most: 1.6 }),
      uncachedRow(outcomes),
      memoryRow(outcomes),
      referenceRow(
        outcomes,
        'for comparison: Express gateway (HS256; no revocation, traces, metrics, log)',
        'express',
        'floor',
      ),
    ],
    stop: async () => {
      for (const server of [floor, express, gateway, tracedSome, tracedAlways, untraced]) await server.stop()
    },
  }
}

export function asUsers(tokens: readonly string[]): Request[] {
  return tokens.map(token => ({ path: USER_PATH, headers: { authorization: `Bearer ${token}` } }))
}

/** On the measured core, in a process of its own, which counts by itself. */
async function startVerification({ seconds }: RunTime): Promise<Run> {
  const script = path.join(import.meta.dirname, 'signature-cost.ts')
  const { pause, resume, output } = startPausable(
    ...pinnedCommand('measured', process.execPath, [script, String(seconds)]),
  )
  return { pause: async () => pause(), resume, ended: output.then(text => ({ cpuUs: Number(text) })) }
}

function uncachedRow(outcomes: Outcomes): Row {
  const keys = ['uncached', 'full edge', 'verification']
  const verification = cpuOf(outcomes, 'verification')
  const excess = medianAcross(outcomes, keys, (uncached, edge, verify) => uncached - edge - verify)
  return {
    name: 'token not in the cache',
    figure: `${cpuOf(outcomes, 'uncached').toFixed(1)} us CPU; a verification ${verification.toFixed(1)} us`,
    ratio: `full edge + verification ${excess < 0 ? '-' : '+'} ${Math.abs(excess).toFixed(1)} us`,
    budget: `<= full edge + verification + ${MOST_UNCACHED_EXTRA_US} us`,
    verdict: budgetVerdict(outcomes, keys, excess, MOST_UNCACHED_EXTRA_US),
  }
}

function memoryRow(outcomes: Outcomes): Row {
  const sizes = (outcomes.get('full edge')?.measurements ?? []).map(({ residentBytes = Number.NaN }) => residentBytes)
  const megabytes = sizes.length === 0 ? Number.NaN : Math.max(...sizes) / 1e6
  return {
    name: 'memory of a gateway process under load',
    figure: `${megabytes.toFixed(0)} MB resident`,
    ratio: '',
    budget: `<= ${MOST_RESIDENT_MB} MB`,
    verdict: budgetVerdict(outcomes, ['full edge'], megabytes, MOST_RESIDENT_MB),
  }
}
