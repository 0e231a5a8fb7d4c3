/**
 * The budget of failed attempts of one key, such as a client address: a token bucket that only failures charge. An
 * undecided attempt holds a reservation of one token, so that parallel attempts cannot fail more often than the budget
 * allows.
 */

/** The limits of a budget. */
export interface BudgetPolicy {
  /** Failures that a full budget admits. */
  readonly failures: number
  /** Microseconds in which an empty budget gains one token. */
  readonly tokenUs: number
  /** Microseconds after which a reservation expires unless it is renewed: its holder may have crashed. */
  readonly holdUs: number
  /** Microseconds for which an attempt may wait for a reservation. */
  readonly waitUs: number
  /** Maximum number of attempts that wait for the same budget. */
  readonly maxWaiting: number
}

/** @param windowS seconds in which an empty budget refills completely. */
export function budgetPolicy(failures: number, windowS: number): BudgetPolicy {
  const tokenUs = Math.ceil((windowS * 1e6) / failures)
  return { failures, tokenUs, holdUs: 4e6, waitUs: 2e6, maxWaiting: 20 }
}

/**
 * - `reserved`: the attempt may proceed.
 * - `waiting`: undecided attempts hold the remaining tokens.
 * - `crowded`: as `waiting`, and `maxWaiting` attempts wait already.
 * - `exhausted`: failures have used up the budget.
 */
export type ReserveOutcome = 'reserved' | 'waiting' | 'crowded' | 'exhausted'

/** The state of a budget after an operation. */
export interface BudgetState {
  /** Microseconds of refill in the budget; `tokenUs` of them are one token. */
  readonly levelUs: number
}

/** Milliseconds until the budget gains its next token. */
export function msUntilNextToken({ tokenUs }: BudgetPolicy, levelUs: number): number {
  return (tokenUs - (levelUs % tokenUs)) / 1000
}
