import fc from 'fast-check'
import type { Test } from 'tap'

/**
 * Runs a fast-check property, and asserts with tap that no run fails and that all runs took place. For properties that
 * do not call `t` themselves: `fc.assert` alone adds no assertion to the count of a test.
 * @param parameters `numRuns` is 100 by default. The message of a failure contains the counterexample and its seed.
 */
export async function assertProperty<Inputs>(
  t: Test,
  property: fc.IRawProperty<Inputs>,
  parameters: fc.Parameters<Inputs> = {},
): Promise<void> {
  const details = await fc.check(property, parameters)
  t.notOk(details.failed, (details.failed && fc.defaultReportMessage(details)) || 'no counterexample')
  const expected = parameters.numRuns ?? 100
  t.ok(details.failed || details.numRuns === expected, `${details.numRuns} of ${expected} runs`)
}
