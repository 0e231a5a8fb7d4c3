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
import { startEnvironment } from './environment.ts'
import { openEnvoy } from './envoy.ts'
import { openGrowth } from './growth.ts'
import { openIdentity } from './identity.ts'
import { generator } from './load-generator.ts'
import { canPin } from './pinned.ts'
import { runStages, type StageResults } from './stage.ts'
import { toMarkdown } from './table.ts'
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
try {
  report(
    await runStages(
      stages.map(open => ({ name: open.name, open: () => open(environment) })),
      { rounds: ROUNDS, turns: TURNS, warmUpSeconds: WARM_UP_SECONDS, aloneSeconds: ALONE_SECONDS, log },
    ),
  )
} finally {
  await environment.stop()
}

function report({ rows, outcomes, failures }: StageResults): void {
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
  const text = [toMarkdown(rows), '', conditions, ...failures].join('\n')
  writeFileSync(path.join(BENCH_DIRECTORY, `${mode}.md`), `${text}\n`)
  const all = { conditions, rows, outcomes }
  writeFileSync(path.join(BENCH_DIRECTORY, `${mode}.json`), JSON.stringify(all, undefined, 2))
  if (failures.length > 0) process.exitCode = 1
  log('done')
  console.log(`\n${text}`)
}
