/**
 * What a token costs that the gateway has not seen before, and what the usual Express gateway takes. Both leave the
 * processor's caches to whoever is next as they found them least, so that they are measured apart from the rest.
 */
import path from 'node:path'
import { asUsers, PRINCIPALS } from './edge.ts'
import { FLOOR, floorCase } from './floor-case.ts'
import { loadCase } from './load-case.ts'
import { startPausable } from './pausable.ts'
import { pinnedCommand } from './pinned.ts'
import { acrossRounds, cpuOf, median, type Outcomes, type Run } from './rounds.ts'
import { startGateway, startScript } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import type { Surroundings } from './surroundings.ts'
import { budgetVerdict, type Row, referenceRow } from './table.ts'
import { accessTokens, hmacTokens } from './tokens.ts'

/** Tokens for a second of requests of which each has its own: more than a core can verify. */
const TOKENS_PER_SECOND = 8000
const MOST_EXTRA_US = 3

export async function openUncached(around: Surroundings): Promise<Stage> {
  const { env, contract, backend, key } = around
  const expected = contract.json
  const jwtSecret = 'a secret of the bench, of no use elsewhere'
  const [gateway, express] = await Promise.all([
    startGateway('gateway-uncached', around.gateway),
    startScript('express', {
      script: 'express/gateway.ts',
      args: [backend.httpOrigin, around.redisUrl],
      env: { ...env, JWT_SECRET: jwtSecret },
    }),
  ])
  const users = asUsers(accessTokens(key, PRINCIPALS))
  const expressUsers = asUsers(hmacTokens(jwtSecret, PRINCIPALS))
  return {
    cases: [
      floorCase(around, 'floor'),
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
      floorCase(around, 'floor again'),
    ],
    rows: async outcomes => [
      uncachedRow(outcomes),
      referenceRow(outcomes, {
        name: 'for comparison: Express gateway (HS256; no revocation, traces, metrics, log)',
        keys: ['express'],
        against: FLOOR,
      }),
    ],
    stop: async () => {
      for (const server of [gateway, express]) await server.stop()
    },
  }
}

/** On the measured core, in a process of its own, which counts by itself. */
async function startVerification(): Promise<Run> {
  const script = path.join(import.meta.dirname, 'signature-cost.ts')
  const { pause, resume, end } = startPausable(...pinnedCommand('measured', process.execPath, [script]))
  return { pause: async () => pause(), resume, end: async () => ({ cpuUs: Number(await end()) }) }
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
    figure: `${us('uncached')} us CPU; in the cache ${us('cached')} us, a verification ${us('verification')} us`,
    ratio: `full edge + verification ${excess < 0 ? '-' : '+'} ${Math.abs(excess).toFixed(1)} us`,
    budget: `<= full edge + verification + ${MOST_EXTRA_US} us`,
    verdict: budgetVerdict(outcomes, keys, excess, MOST_EXTRA_US),
  }
}
