/** The baseline as a case. Most budgets are multiples of it. */
import { USER_PATH } from './contract.ts'
import type { BenchEnvironment } from './environment.ts'
import { loadCase } from './load-case.ts'
import type { Case } from './rounds.ts'

/** Names of the two baseline cases, the first and the last of a round. Two of them reduce the noise of all ratios. */
export const BASELINE = ['baseline', 'baseline 2'] as const

export const BASELINE_REQUESTS = [{ path: USER_PATH }]

/** Returns the baseline case with this name. The second one needs no warm-up, because both load the same server. */
export function baselineCase(environment: BenchEnvironment, name: (typeof BASELINE)[number]): Case {
  const { baseline, contract } = environment
  return loadCase({
    name,
    server: baseline,
    requests: () => BASELINE_REQUESTS,
    expected: contract.json,
    warmUpSeconds: name === 'baseline' ? 1 : 0,
  })
}
