/**
 * Settings of the fuzz tests. `make test` runs each for a few seconds with a fixed seed; `make fuzz DURATION=60 SEED=42`
 * runs each for the given number of seconds. Without SEED, `make fuzz` chooses one and prints it.
 */
import fc from 'fast-check'
import t, { type Test } from 'tap'

/** Seconds for each property; undefined in `make test`. */
const duration = process.env['DURATION'] ? Number(process.env['DURATION']) : undefined
const seed = process.env['SEED'] ? Number(process.env['SEED']) : duration === undefined ? 1 : Date.now() % 2 ** 31

// Several properties in a file, and what their last run and its shrinking take.
t.setTimeout(300_000 + 5000 * (duration ?? 0))

/**
 * Runs a property and asserts that no run fails. The message of a failure contains the counterexample and the seed.
 * @param shortRuns number of runs in `make test`.
 */
export async function fuzz<Inputs>(t: Test, property: fc.IRawProperty<Inputs>, shortRuns: number): Promise<void> {
  const bounds =
    duration === undefined
      ? { numRuns: shortRuns }
      : { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: duration * 1000, markInterruptAsFailure: false }
  const details = await fc.check(property, { ...bounds, seed })
  t.notOk(details.failed, (details.failed && messageOf(details)) || 'no counterexample')
  t.ok(details.failed || details.numRuns > 0, 'it has run')
  t.comment(`seed ${seed}: ${details.numRuns} runs`)
}

function messageOf<Inputs>(details: fc.RunDetails<Inputs>): string {
  const { errorInstance } = details
  return `${errorInstance instanceof Error ? errorInstance.stack : errorInstance}\n${fc.defaultReportMessage(details)}`
}
