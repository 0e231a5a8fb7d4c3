import { type Case, type Outcome, type Outcomes, type RoundsOptions, runRounds } from './rounds.ts'
import type { Row } from './table.ts'

/** A part of the bench: running servers, the cases that are measured in turn, and the rows of the table. */
export interface Stage {
  readonly cases: readonly Case[]
  /** Returns the rows, from the outcomes of all cases and from measurements that follow them. */
  rows(outcomes: Outcomes): Promise<Row[]>
  stop(): Promise<void>
}

export interface StageResults {
  readonly rows: readonly Row[]
  readonly outcomes: readonly [name: string, outcome: Outcome][]
  /** One line for each stage, case and row that failed. */
  readonly failures: readonly string[]
}

/**
 * Measures stages one after the other, so that a server is idle only while other cases of its stage run. A stage that
 * fails is recorded, and the other ones are measured.
 */
export async function runStages(
  stages: readonly { readonly name: string; readonly open: () => Promise<Stage> }[],
  options: RoundsOptions,
): Promise<StageResults> {
  const rows: Row[] = []
  const outcomes: [string, Outcome][] = []
  const failures: string[] = []

  async function measure(open: () => Promise<Stage>): Promise<void> {
    const stage = await open()
    try {
      const measured = await runRounds(stage.cases, options)
      outcomes.push(...measured)
      for (const [name, { failure }] of measured) if (failure !== undefined) failures.push(`FAILED ${name}: ${failure}`)
      rows.push(...(await stage.rows(measured)))
    } finally {
      await stage.stop()
    }
  }

  for (const { name, open } of stages) {
    options.log(name)
    try {
      await measure(open)
    } catch (error) {
      failures.push(`FAILED ${name}: ${(error as Error).message}`)
      options.log(`${name} FAILED: ${(error as Error).stack}`)
    }
  }
  for (const { name, verdict } of rows) if (verdict === 'FAILED') failures.push(`FAILED row: ${name}`)
  return { rows, outcomes, failures }
}
