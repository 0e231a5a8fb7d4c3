/**
 * A token bucket in whole numbers. One token is `perToken` units and each microsecond brings `gain` units, so that any
 * rate, such as 5 in 15 minutes or 7 in a second, is exact: nothing is lost however often a bucket is looked at.
 */

export interface BucketShape {
  /** Tokens that a full bucket holds. */
  readonly tokens: number
  /** The same in units. */
  readonly capacity: number
  readonly perToken: number
  readonly gain: number
}

/** What a bucket that is not full remembers. */
export interface BucketState {
  level: number
  /** Microseconds of the clock at which it had this level. */
  at: number
}

/**
 * Units that are left where the cost was taken. Where there were too few, nothing is taken, and it is `-1 - units`: one
 * number crosses the wire for each decision.
 */
export type Outcome = number

/** @param refill tokens that come back in `periodUs` microseconds. @throws RangeError where a number would lose precision. */
export function bucketShape(tokens: number, refill: number, periodUs: number): BucketShape {
  const divisor = greatestCommonDivisor(refill, periodUs)
  const perToken = periodUs / divisor
  const capacity = tokens * perToken
  if (!Number.isSafeInteger(capacity)) throw new RangeError('is more than can be counted: give both in smaller numbers')
  return { tokens, capacity, perToken, gain: refill / divisor }
}

/**
 * Takes `cost` units, or gives them back when it is negative, and changes `state` accordingly. The same rule runs in
 * Redis (bucket-script.ts).
 */
export function take(state: BucketState, shape: BucketShape, cost: number, nowUs: number): Outcome {
  // A clock that was set back brings nothing, and takes nothing away: from here on time goes by it.
  if (nowUs < state.at) state.at = nowUs
  const gained = (nowUs - state.at) * shape.gain
  const level = Math.min(shape.capacity, state.level + gained)
  if (cost > level) return -1 - level
  state.level = Math.min(shape.capacity, level - cost)
  state.at = nowUs
  return state.level
}

export function isAdmitted(outcome: Outcome): boolean {
  return outcome >= 0
}

/** Whole tokens that are left. */
export function remainingTokens({ perToken }: BucketShape, outcome: Outcome): number {
  return Math.floor(levelOf(outcome) / perToken)
}

/**
 * Milliseconds until there is more to have: one token more after an admission, enough for `cost` units after a refusal.
 */
export function waitMs({ perToken, gain }: BucketShape, outcome: Outcome, cost: number): number {
  const level = levelOf(outcome)
  const missing = outcome < 0 ? cost - level : perToken - (level % perToken)
  return missing / gain / 1000
}

function levelOf(outcome: Outcome): number {
  return outcome < 0 ? -1 - outcome : outcome
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
