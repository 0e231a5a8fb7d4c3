/**
 * Measures requests with tokens that are not in the cache, and a typical Express gateway. Both are a separate stage,
 * because they displace the CPU caches of other cases most.
 */
import path from 'node:path'
import { BASELINE, baselineCase } from './baseline-case.ts'
import { asUsers, PRINCIPALS } from './edge.ts'
import type { BenchEnvironment } from './environment.ts'
import { loadCase } from './load-case.ts'
import { lastLine, startPausableScript } from './pausable.ts'
import { pinnedCommand } from './pinned.ts'
import { acrossRounds, cpuOf, median, type Outcomes, type Run } from './rounds.ts'
import { startGateway, startScript } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import { budgetVerdict, type Row, referenceRow } from './table.ts'
import { accessTokens, hmacTokens } from './tokens.ts'

/** Number of tokens per second of load, each used once. More than one core can verify. */
const TOKENS_PER_SECOND = 8000
const MAX_EXTRA_US = 3

export async function openUncached(environment: BenchEnvironment): Promise<Stage> {
  const { env, contract, backend, key } = environment
  const expected = contract.json
  const jwtSecret = 'a secret for the bench only'
  const [gateway, express] = await Promise.all([
    startGateway('gateway-uncached', environment.gateway),
    startScript('express', {
      script: 'express/gateway.ts',
      args: [backend.httpOrigin, environment.redisUrl],
      env: { ...env, JWT_SECRET: jwtSecret },
    }),
  ])
  const users = asUsers(accessTokens(key, PRINCIPALS))
  const expressUsers = asUsers(hmacTokens(jwtSecret, PRINCIPALS))
  return {
    cases: [
      baselineCase(environment, 'baseline'),
      loadCase({
        name: 'uncached',
        server: gateway,
        requests: seconds => asUsers(accessTokens(key, TOKENS_PER_SECOND * seconds, PRINCIPALS)),
        expected,
        once: true,
      }),
      loadCase({ name: 'cached', server: gateway, requests: () => users, expected }),
      { name: 'verification', warmUpSeconds: 1, start: startVerification },
      loadCase({ name: 'express', server: express, requests: () => expressUsers, expected }),
      baselineCase(environment, 'baseline 2'),
    ],
    rows: async outcomes => [
      uncachedRow(outcomes),
      referenceRow(outcomes, {
        name: 'for comparison: Express gateway (HS256; no revocation, traces, metrics, log)',
        keys: ['express'],
        against: BASELINE,
      }),
    ],
    stop: async () => {
      for (const server of [gateway, express]) await server.stop()
    },
  }
}

/** Measures verifications in a separate process on the measured core, which measures its own CPU time. */
export async function startVerification(): Promise<Run> {
  const script = path.join(import.meta.dirname, 'signature-cost.ts')
  const { pause, resume, end } = await startPausableScript(...pinnedCommand('measured', process.execPath, [script]))
  return { pause: async () => pause(), resume, end: async () => ({ cpuUs: Number(lastLine(await end())) }) }
}

function uncachedRow(outcomes: Outcomes): Row {
  const keys = ['uncached', 'cached', 'verification']
  const excess = median(
    acrossRounds(
      outcomes,
      keys,
      ([uncached = Number.NaN, cached = Number.NaN, verification = Number.NaN]) => uncached - cached - verification,
    ),
  )
  const us = (name: string) => cpuOf(outcomes, [name]).toFixed(1)
  return {
    name: 'token not in the cache',
    figure: `${us('uncached')} us CPU; cached ${us('cached')} us, one verification ${us('verification')} us`,
    ratio: `full edge + verification ${excess < 0 ? '-' : '+'} ${Math.abs(excess).toFixed(1)} us`,
    budget: `<= full edge + verification + ${MAX_EXTRA_US} us`,
    verdict: budgetVerdict(outcomes, keys, excess, MAX_EXTRA_US),
  }
}
