export interface BackoffOptions {
  /** First delay, in milliseconds. */
  initialMs: number
  /** Maximum delay before jitter, in milliseconds. */
  maxMs: number
}

const FACTOR = 1.6
/** Spreads the reconnects of gateways that lost the same server. */
const JITTER = 0.2

export interface Backoff {
  /** Returns the delay before the next attempt, in milliseconds. */
  next(): number
  reset(): void
}

/**
 * Exponential backoff: each delay is 1.6 times the one before, up to `maxMs`, plus or minus 20 % of jitter.
 * https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
 */
export function createBackoff({ initialMs, maxMs }: BackoffOptions, random: () => number = Math.random): Backoff {
  let current = initialMs
  return {
    next() {
      const delay = current * (1 + JITTER * (2 * random() - 1))
      current = Math.min(current * FACTOR, maxMs)
      return delay
    },
    reset() {
      current = initialMs
    },
  }
}
