/**
 * `make bench`: what a request costs, against the budgets. Everything is measured in one run, the cases in turn.
 * `make bench-envoy`, with the argument `envoy`: what it costs beside Envoy.
 *
 * Prints a table of Markdown, and keeps it with all measurements in .data/bench/.
 */
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import path from 'node:path'
import { canAccount } from './cpu.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import { openEdge } from './edge.ts'
import { openEnvoy } from './envoy.ts'
import { openGrowth } from './growth.ts'
import { openIdentity } from './identity.ts'
import { generator } from './load-generator.ts'
import { canPin } from './pinned.ts'
import { type Outcome, runRounds } from './rounds.ts'
import type { Stage } from './stage.ts'
import { openSurroundings, type Surroundings } from './surroundings.ts'
import { type Row, toMarkdown } from './table.ts'
import { openUncached } from './uncached.ts'

const ROUNDS = 5
const TURNS = 4
const WARM_UP_SECONDS = 3
const ALONE_SECONDS = 1

const [what = 'table'] = process.argv.slice(2)
const stages = what === 'envoy' ? [openEnvoy] : [openEdge, openUncached, openGrowth, openIdentity]

/** Of the machine before the bench: what else it does is in every figure. */
const [loadBefore = 0] = loadavg()
const startedAt = performance.now()
const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(0)
const tell = (text: string) => console.error(`${seconds().padStart(4)} s  ${text}`)

tell('starting stores and backend')
const around = await openSurroundings()
const rows: Row[] = []
const outcomes: [string, Outcome][] = []
try {
  for (const open of stages) await measure(open)
  report()
} catch (error) {
  // Before the rest is stopped, which may well complain in turn.
  console.error(error)
  process.exitCode = 1
} finally {
  await around.stop()
}

/** One stage at a time: what waits for its turn has been idle for so long only as others of its own stage take. */
async function measure(open: (around: Surroundings) => Promise<Stage>): Promise<void> {
  tell(open.name)
  const stage = await open(around)
  try {
    const measured = await runRounds(stage.cases, {
      rounds: ROUNDS,
      turns: TURNS,
      warmUpSeconds: WARM_UP_SECONDS,
      aloneSeconds: ALONE_SECONDS,
      tell,
    })
    outcomes.push(...measured)
    rows.push(...(await stage.rows(measured)))
  } finally {
    await stage.stop()
  }
}

function report(): void {
  const circumstances = [
    `${cpus()[0]?.model.trim()}, Node ${process.versions.node}`,
    `load by ${generator}, backend ${around.backend.kind}`,
    canPin ? 'what is measured alone on one core, the rest on another' : 'NOT PINNED: no taskset, or one core only',
    ...(canAccount ? [] : ['NO CPU FIGURES: no /proc here']),
    `medians of ${ROUNDS} rounds of ${TURNS} turns each, in brackets the middle half of them`,
    ...(loadBefore > availableParallelism() / 4 ? [`THE MACHINE WAS BUSY: load ${loadBefore.toFixed(1)} before`] : []),
  ].join('; ')
  const failures = outcomes.flatMap(([name, { failure }]) =>
    failure === undefined ? [] : [`FAILED ${name}: ${failure}`],
  )
  const text = [toMarkdown(rows), '', circumstances, ...failures].join('\n')
  writeFileSync(path.join(BENCH_DIRECTORY, `${what}.md`), `${text}\n`)
  const all = { circumstances, rows, outcomes }
  writeFileSync(path.join(BENCH_DIRECTORY, `${what}.json`), JSON.stringify(all, undefined, 2))
  tell('done')
  console.log(`\n${text}`)
}
