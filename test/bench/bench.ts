/**
 * `make bench`: what a request costs, against the budgets. Everything is measured in one run, the cases in turn.
 *
 * Prints a table of Markdown, and keeps it with all samples in .data/bench/.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import path from 'node:path'
import { PUBLIC_USER_PATH, USER_PATH } from './contract.ts'
import { canAccount } from './cpu.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import { edgeCase } from './edge-case.ts'
import { edgeRows } from './edge-rows.ts'
import { generator } from './load.ts'
import { canPin } from './pinned.ts'
import { runRounds } from './rounds.ts'
import { type ServerUnderTest, startGateway, startScript } from './server-under-test.ts'
import { openSurroundings } from './surroundings.ts'
import { toMarkdown } from './table.ts'
import { accessTokens, hmacTokens } from './tokens.ts'

const ROUNDS = 5
const SECONDS = 2
/** Users who take turns in a load. */
const PRINCIPALS = 100

const startedAt = performance.now()
const tell = (text: string) =>
  console.error(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${text}`)

tell('starting stores, backend and gateways')
const around = await openSurroundings()
const servers: ServerUnderTest[] = []
try {
  const { env, contract, backend, key, authStub, redisUrl } = around
  const { json } = contract
  const script = (name: string) => path.join(import.meta.dirname, name)
  const jwtSecret = 'a secret of the bench, of no use elsewhere'

  const floor = await startScript('floor', {
    script: script('floor.ts'),
    args: [path.join(BENCH_DIRECTORY, 'user.json')],
    env,
  })
  const express = await startScript('express', {
    script: script('express/gateway.ts'),
    args: [backend.httpOrigin, redisUrl],
    env: { ...env, JWT_SECRET: jwtSecret },
  })
  const gateway = await startGateway('gateway', {
    authSvcAddress: authStub.address,
    backendAddress: backend.grpcAddress,
    image: contract.image,
    redisUrl,
    env,
  })
  servers.push(floor, express, gateway)

  const asUsers = (tokens: readonly string[]) =>
    tokens.map(token => ({ path: USER_PATH, headers: { authorization: `Bearer ${token}` } }))
  const users = asUsers(accessTokens(key, PRINCIPALS))
  const expressUsers = asUsers(hmacTokens(jwtSecret, PRINCIPALS))
  const seconds = SECONDS
  const outcomes = await runRounds(
    [
      edgeCase({ name: 'floor', server: floor, requests: () => [{ path: USER_PATH }], expected: json, seconds }),
      edgeCase({
        name: 'transcoding',
        server: gateway,
        requests: () => [{ path: PUBLIC_USER_PATH }],
        expected: json,
        seconds,
      }),
      edgeCase({ name: 'full edge', server: gateway, requests: () => users, expected: json, seconds }),
      edgeCase({ name: 'express', server: express, requests: () => expressUsers, expected: json, seconds }),
    ],
    { rounds: ROUNDS, warmUpRounds: 1, tell },
  )

  const rows = edgeRows(outcomes)
  const table = toMarkdown(rows)
  const circumstances = [
    `${cpus()[0]?.model.trim()}, Node ${process.versions.node}`,
    `load by ${generator}, backend ${backend.kind}`,
    canPin ? 'what is measured alone on one core, the rest on another' : 'NOT PINNED: no taskset or one core only',
    ...(canAccount ? [] : ['NO CPU FIGURES: no /proc here']),
    `${ROUNDS} rounds of ${SECONDS} s, medians`,
  ].join('; ')
  const text = `${table}\n\n${circumstances}`
  writeFileSync(path.join(BENCH_DIRECTORY, 'table.md'), `${text}\n`)
  writeFileSync(
    path.join(BENCH_DIRECTORY, 'table.json'),
    JSON.stringify({ circumstances, rows, outcomes: Object.fromEntries(outcomes) }, undefined, 2),
  )
  tell('done')
  console.log(`\n${text}`)
} finally {
  for (const server of servers) await server.stop()
  await around.stop()
}
