/**
 * `make bench`: measures the CPU per request and compares it with the budgets. All cases are measured in one run, in
 * turn. `make bench-envoy` (argument `envoy`): compares the gateway with Envoy.
 *
 * Prints a Markdown table, and writes it and all measurements to .data/bench/.
 */
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import path from 'node:path'
import { canAccount } from './cpu.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import { openEdge } from './edge.ts'
import { type BenchEnvironment, startEnvironment } from './environment.ts'
import { openEnvoy } from './envoy.ts'
import { openGrowth } from './growth.ts'
import { openIdentity } from './identity.ts'
import { generator } from './load-generator.ts'
import { canPin } from './pinned.ts'
import { type Outcome, runRounds } from './rounds.ts'
import type { Stage } from './stage.ts'
import { type Row, toMarkdown } from './table.ts'
import { openUncached } from './uncached.ts'

const ROUNDS = 5
const TURNS = 4
const WARM_UP_SECONDS = 3
const ALONE_SECONDS = 1

const [mode = 'table'] = process.argv.slice(2)
const stages = mode === 'envoy' ? [openEnvoy] : [openEdge, openUncached, openGrowth, openIdentity]

/** Load average before the bench. Other processes affect all measurements. */
const [loadBefore = 0] = loadavg()
const startedAt = performance.now()
const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(0)
const log = (text: string) => console.error(`${seconds().padStart(4)} s  ${text}`)

log('starting stores and backend')
const environment = await startEnvironment()
const rows: Row[] = []
const outcomes: [string, Outcome][] = []
try {
  for (const open of stages) await measure(open)
  report()
} catch (error) {
  // Print the cause before errors of the shutdown.
  console.error(error)
  process.exitCode = 1
} finally {
  await environment.stop()
}

/**
 * Measures one stage. Stages run one after the other, so that a server is idle only while other cases of its stage run.
 */
async function measure(open: (environment: BenchEnvironment) => Promise<Stage>): Promise<void> {
  log(open.name)
  const stage = await open(environment)
  try {
    const measured = await runRounds(stage.cases, {
      rounds: ROUNDS,
      turns: TURNS,
      warmUpSeconds: WARM_UP_SECONDS,
      aloneSeconds: ALONE_SECONDS,
      log,
    })
    outcomes.push(...measured)
    rows.push(...(await stage.rows(measured)))
  } finally {
    await stage.stop()
  }
}

function report(): void {
  const conditions = [
    `${cpus()[0]?.model.trim()}, Node ${process.versions.node}`,
    `load by ${generator}, backend ${environment.backend.kind}`,
    canPin
      ? 'the measured processes on one core, everything else on another'
      : 'NOT PINNED: taskset is missing, or there is only one core',
    ...(canAccount ? [] : ['NO CPU FIGURES: /proc is missing']),
    `median of ${ROUNDS} rounds of ${TURNS} turns, interquartile range in parentheses`,
    ...(loadBefore > availableParallelism() / 4
      ? [`THE MACHINE WAS BUSY: load average ${loadBefore.toFixed(1)} before the bench`]
      : []),
  ].join('; ')
  const failures = outcomes.flatMap(([name, { failure }]) =>
    failure === undefined ? [] : [`FAILED ${name}: ${failure}`],
  )
  const text = [toMarkdown(rows), '', conditions, ...failures].join('\n')
  writeFileSync(path.join(BENCH_DIRECTORY, `${mode}.md`), `${text}\n`)
  const all = { conditions, rows, outcomes }
  writeFileSync(path.join(BENCH_DIRECTORY, `${mode}.json`), JSON.stringify(all, undefined, 2))
  if (failures.length > 0 || rows.some(({ verdict }) => verdict === 'FAILED')) process.exitCode = 1
  log('done')
  console.log(`\n${text}`)
}
