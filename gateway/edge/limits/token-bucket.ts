/**
 * A token bucket in integer arithmetic: a token is `unitsPerToken` units, a bucket gains `refillPerUs` units per
 * microsecond. Any rate, such as 5 per 15 minutes or 7 per second, is exact, however often the bucket is charged.
 */

/** The parameters of a bucket; all are integers. */
export interface BucketShape {
  readonly capacityTokens: number
  readonly capacityUnits: number
  readonly unitsPerToken: number
  /** Units gained per microsecond. */
  readonly refillPerUs: number
}

/** The state of a bucket that is not full. */
export interface BucketState {
  /** Units in the bucket at the time `at`. */
  level: number
  /** Microseconds of the bucket's clock. */
  at: number
}

/** The units left after an admitted charge; `-1 - units` if the charge was rejected because only `units` were left. */
export type Outcome = number

/** @param refill tokens gained per `periodUs` microseconds. @throws RangeError if the capacity is not exact. */
export function bucketShape(tokens: number, refill: number, periodUs: number): BucketShape {
  const divisor = greatestCommonDivisor(refill, periodUs)
  const unitsPerToken = periodUs / divisor
  const capacityUnits = tokens * unitsPerToken
  if (!Number.isSafeInteger(capacityUnits)) {
    throw new RangeError('exceeds the supported precision: use a smaller capacity or a shorter refill interval')
  }
  return { capacityTokens: tokens, capacityUnits, unitsPerToken, refillPerUs: refill / divisor }
}

/** Updates `state`, as the Redis script (bucket-script.ts) does. @param cost in units; negative for a refund. */
export function chargeBucket(state: BucketState, shape: BucketShape, cost: number, nowUs: number): Outcome {
  // A clock that was set back neither adds nor removes units. The bucket refills from the new time on.
  if (nowUs < state.at) state.at = nowUs
  const gained = (nowUs - state.at) * shape.refillPerUs
  const level = Math.min(shape.capacityUnits, state.level + gained)
  if (cost > level) return -1 - level
  state.level = Math.min(shape.capacityUnits, level - cost)
  state.at = nowUs
  return state.level
}

export function isAdmitted(outcome: Outcome): boolean {
  return outcome >= 0
}

/** Tokens left, rounded down. */
export function remainingTokens({ unitsPerToken }: BucketShape, outcome: Outcome): number {
  return Math.floor(remainingUnits(outcome) / unitsPerToken)
}

/** Time until the bucket gains the next token after an admission, or holds `cost` units after a rejection. */
export function waitMs({ unitsPerToken, refillPerUs }: BucketShape, outcome: Outcome, cost: number): number {
  const level = remainingUnits(outcome)
  const missing = outcome < 0 ? cost - level : unitsPerToken - (level % unitsPerToken)
  return missing / refillPerUs / 1000
}

function remainingUnits(outcome: Outcome): number {
  return outcome < 0 ? -1 - outcome : outcome
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
