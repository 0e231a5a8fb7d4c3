/**
 * `make bench`: what a request costs, against the budgets. Everything is measured in one run, the cases in turn.
 *
 * Prints a table of Markdown, and keeps it with all measurements in .data/bench/.
 */
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import path from 'node:path'
import { canAccount } from './cpu.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import { openEdge } from './edge.ts'
import { openGrowth } from './growth.ts'
import { measureHalfLoad } from './half-load.ts'
import { openIdentity } from './identity.ts'
import { generator } from './load.ts'
import { measureLogins } from './logins.ts'
import { canPin } from './pinned.ts'
import { type Outcomes, runRounds } from './rounds.ts'
import type { Stage } from './stage.ts'
import { openSurroundings } from './surroundings.ts'
import { type Row, toMarkdown } from './table.ts'

const ROUNDS = 3
const TURNS = 14
const WARM_UP_SECONDS = 3
const ALONE_SECONDS = 1

/** Of the machine before the bench: what else it does is in every figure. */
const [loadBefore = 0] = loadavg()
const startedAt = performance.now()
const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(0)
const tell = (text: string) => console.error(`${seconds().padStart(4)} s  ${text}`)

tell('starting stores, backend and gateways')
const around = await openSurroundings()
const stages: Stage[] = []
try {
  const edge = await openEdge(around)
  stages.push(edge)
  stages.push(await openGrowth(around))
  const identity = await openIdentity(around)
  stages.push(identity)
  const cases = stages.flatMap(stage => stage.cases)
  const outcomes = await runRounds(cases, {
    rounds: ROUNDS,
    turns: TURNS,
    warmUpSeconds: WARM_UP_SECONDS,
    aloneSeconds: ALONE_SECONDS,
    tell,
  })
  tell('half of the saturation rate')
  const rows = stages.flatMap(stage => stage.rows(outcomes))
  rows.push(await measureHalfLoad(outcomes, edge.gateway, edge.floor))
  tell('logins')
  rows.push(...(await measureLogins(identity.system, tell)))
  report(rows, outcomes)
} catch (error) {
  // Before the rest is stopped, which may well complain in turn.
  console.error(error)
  process.exitCode = 1
} finally {
  for (const stage of stages) await stage.stop()
  await around.stop()
}

function report(rows: readonly Row[], outcomes: Outcomes): void {
  const circumstances = [
    `${cpus()[0]?.model.trim()}, Node ${process.versions.node}`,
    `load by ${generator}, backend ${around.backend.kind}`,
    canPin ? 'what is measured alone on one core, the rest on another' : 'NOT PINNED: no taskset, or one core only',
    ...(canAccount ? [] : ['NO CPU FIGURES: no /proc here']),
    `medians of ${ROUNDS} rounds of ${TURNS} turns each`,
    ...(loadBefore > availableParallelism() / 4 ? [`THE MACHINE WAS BUSY: load ${loadBefore.toFixed(1)} before`] : []),
  ].join('; ')
  const failures = [...outcomes].flatMap(([name, { failure }]) =>
    failure === undefined ? [] : [`FAILED ${name}: ${failure}`],
  )
  const text = [toMarkdown(rows), '', circumstances, ...failures].join('\n')
  writeFileSync(path.join(BENCH_DIRECTORY, 'table.md'), `${text}\n`)
  const all = { circumstances, rows, outcomes: Object.fromEntries(outcomes) }
  writeFileSync(path.join(BENCH_DIRECTORY, 'table.json'), JSON.stringify(all, undefined, 2))
  tell('done')
  console.log(`\n${text}`)
}
