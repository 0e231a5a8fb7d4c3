/** Retries by policy, as gRPC A6 specifies (https://github.com/grpc/proposal/blob/master/A6-client-retries.md). */
import { Code, type StatusError } from '#runtime/status.ts'
import { timeLeft } from '../deadline.ts'
import type { RetryBudget } from '../retry-budget.ts'

export interface RetryOptions {
  /** Maximum number of attempts with the first one. Transparent retries do not count. */
  maxAttempts: number
  /** Maximum delay before the first retry, in milliseconds. */
  initialBackoffMs: number
  /** Maximum delay before any retry, in milliseconds. */
  maxBackoffMs: number
  /** Shared by all calls of the upstream. */
  budget: RetryBudget
}

/**
 * What follows a failed attempt that may be repeated: it is `sent` again, or not, because the budget is `throttled`, the
 * server `refused` (pushback), the attempts are `exhausted`, or the delay ends after the deadline (`late`). `transparent` is
 * an immediate repetition of a call that no server has processed.
 */
export type RetryOutcome = 'sent' | 'transparent' | 'throttled' | 'refused' | 'exhausted' | 'late'

const MULTIPLIER = 2

/** The retries of one call. Created when its first attempt fails. */
export class CallRetries {
  /** Retries by policy that were made. */
  count = 0
  /** Transparent retries that were made. */
  transparent = 0
  /** Ends the delay before the next attempt. */
  timer: NodeJS.Timeout | undefined
  #backoffs = 0

  /**
   * Decides about a failed attempt, and charges it to the budget.
   * @param pushbackMs delay that the server demands, in milliseconds; negative: no retry; undefined: the server has no wish.
   * @param deadline in milliseconds of `performance.now()`.
   * @returns the delay before the next attempt in milliseconds, or why there is none.
   */
  next(
    { maxAttempts, initialBackoffMs, maxBackoffMs, budget }: RetryOptions,
    pushbackMs: number | undefined,
    deadline: number,
    random: () => number = Math.random,
  ): number | Exclude<RetryOutcome, 'sent' | 'transparent'> {
    const isAffordable = budget.recordFailure()
    if (pushbackMs !== undefined && pushbackMs < 0) return 'refused'
    if (this.count + 1 >= maxAttempts) return 'exhausted'
    if (!isAffordable) return 'throttled'
    const bound = Math.min(initialBackoffMs * MULTIPLIER ** this.#backoffs, maxBackoffMs)
    const delay = pushbackMs ?? random() * bound
    if (delay >= timeLeft(deadline)) return 'late'
    this.count++
    // After a pushback, the backoff starts again.
    this.#backoffs = pushbackMs === undefined ? this.#backoffs + 1 : 0
    return delay
  }
}

/** Whether the status of an attempt says that another attempt may succeed. */
export function isRetryable({ code }: StatusError): boolean {
  return code === Code.UNAVAILABLE
}

/** A signed 32-bit integer without leading zeros. */
const PUSHBACK = /^(?:0|[1-9][0-9]{0,9})$/
const MAX_PUSHBACK_MS = 2 ** 31 - 1

/** Parses `grpc-retry-pushback-ms`. @returns milliseconds; -1 (no retry) for a negative or malformed value. */
export function parsePushback(text: string): number {
  const value = PUSHBACK.test(text) ? Number(text) : -1
  return value > MAX_PUSHBACK_MS ? -1 : value
}
