export interface BackoffOptions {
  initialMs: number
  maxMs: number
}

const FACTOR = 1.6
/** So that the gateways which lost one server do not all come back to it at once. */
const JITTER = 0.2

export interface Backoff {
  /** Milliseconds until the next attempt. */
  next(): number
  reset(): void
}

/** https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md */
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
