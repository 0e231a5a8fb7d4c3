/**
 * When a call must have its answer: milliseconds of `performance.now()`, a clock that nobody sets. By the wall clock a step
 * ahead would end all calls at once, and one back would let them wait.
 */

/** So many milliseconds from now. */
export function deadlineIn(ms: number): number {
  return performance.now() + ms
}

/** Milliseconds until then; not above 0 when it has passed. */
export function timeLeft(deadline: number): number {
  return deadline - performance.now()
}

/** As @grpc/grpc-js takes it, which counts from the epoch. */
export function epochDeadline(deadline: number): number {
  return Date.now() + timeLeft(deadline)
}
