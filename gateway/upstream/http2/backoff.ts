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
  /** @returns the delay before the next attempt, in milliseconds. */
  next(): number
  /** Starts over with `initialMs`. Call after a success. */
  reset(): void
}

/**
 * Exponential backoff: each delay is 1.6 times the one before, up to `maxMs`, plus or minus 20 % of jitter.
 * https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
 * @param random returns a number from 0 (inclusive) to 1 (exclusive).
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
