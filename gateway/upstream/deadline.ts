/** Deadlines of calls, in milliseconds of `performance.now()`: changes of the system clock do not affect them. */

export function deadlineIn(timeoutMs: number): number {
  return performance.now() + timeoutMs
}

/** @returns the milliseconds until the deadline; 0 or negative if it has passed. */
export function timeLeft(deadline: number): number {
  return deadline - performance.now()
}

/** @returns the deadline in milliseconds since the epoch, as @grpc/grpc-js expects it. */
export function toEpochDeadline(deadline: number): number {
  return Date.now() + timeLeft(deadline)
}
