/** The floor as a case: what most budgets are stated in. */
import { USER_PATH } from './contract.ts'
import { loadCase } from './load-case.ts'
import type { Case } from './rounds.ts'
import type { Surroundings } from './surroundings.ts'

/** Twice in a round, at either end: all others' figures shall not hang on one turn. */
export const FLOOR = ['floor', 'floor again'] as const

export const FLOOR_REQUESTS = [{ path: USER_PATH }]

export function floorCase(around: Surroundings, name: (typeof FLOOR)[number]): Case {
  const { floor, contract } = around
  return loadCase({
    name,
    server: floor,
    requests: () => FLOOR_REQUESTS,
    expected: contract.json,
    warmUpSeconds: name === 'floor' ? 1 : 0,
  })
}
