import type { BudgetPolicy } from './attempt-budget.ts'

/** They take about 15 MB. */
const MAX_BUDGETS = 100_000

/**
 * Budgets of the attempts of this process, in its memory. They count every failure that the process reports, so that the
 * process never reports more than a budget allows, even if Redis is unavailable or has lost its data.
 */
export interface LocalBudget {
  /** Holds one token. @returns false if failures or other reservations leave no token. */
  reserve(key: string): boolean
  /** Ends a reservation. @param hasFailed charges its token. @returns the level in microseconds. */
  settle(key: string, hasFailed: boolean): number
  /** The level in microseconds: below `tokenUs`, the budget is exhausted. */
  levelUs(key: string): number
}

export interface LocalBudgetOptions {
  policy: BudgetPolicy
  /** Beyond it, the budget that was used least recently is dropped and so becomes full. Default 100,000. */
  maxBudgets?: number
  /** Microseconds of a clock that never steps back. Default `performance.now()`. */
  nowUs?: () => number
}

interface State {
  level: number
  at: number
  holds: number
}

export function createLocalBudget(options: LocalBudgetOptions): LocalBudget {
  const { policy, maxBudgets = MAX_BUDGETS, nowUs = () => Math.floor(performance.now() * 1000) } = options
  const { tokenUs } = policy
  const capacity = policy.failures * tokenUs
  /** Budgets that are not full, in the order of their last use. */
  const states = new Map<string, State>()

  function refilled(key: string): State {
    const now = nowUs()
    const state = states.get(key) ?? { level: capacity, at: now, holds: 0 }
    state.level = Math.min(capacity, state.level + Math.max(0, now - state.at))
    state.at = now
    return state
  }

  function store(key: string, state: State): void {
    states.delete(key)
    if (state.level === capacity && state.holds === 0) return
    states.set(key, state)
    if (states.size <= maxBudgets) return
    // The number of reservations is bounded, so the search is short.
    for (const [oldest, { holds }] of states) {
      if (holds > 0) continue
      states.delete(oldest)
      return
    }
  }

  return {
    reserve(key) {
      const state = refilled(key)
      if (state.level < (state.holds + 1) * tokenUs) return false
      state.holds++
      store(key, state)
      return true
    },
    settle(key, hasFailed) {
      const state = refilled(key)
      state.holds = Math.max(0, state.holds - 1)
      if (hasFailed) state.level = Math.max(0, state.level - tokenUs)
      store(key, state)
      return state.level
    },
    levelUs: key => refilled(key).level,
  }
}
