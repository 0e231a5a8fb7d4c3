/** What a transport may assume of a call, apart from its message. */
export interface CallPolicy {
  /** Whether the call may be repeated although a server may have processed it. */
  readonly isIdempotent: boolean
  /** Whether the client chose the deadline. Then a call that exceeds it proves nothing about the server. */
  readonly hasClientDeadline: boolean
}

/** A call that is repeated only if no server has processed it. */
export const SINGLE_CALL: CallPolicy = { isIdempotent: false, hasClientDeadline: false }

// All combinations, so that a call allocates none.
const SINGLE_CALL_UNTIL_CLIENT_DEADLINE: CallPolicy = { isIdempotent: false, hasClientDeadline: true }
const IDEMPOTENT: CallPolicy = { isIdempotent: true, hasClientDeadline: false }
const IDEMPOTENT_UNTIL_CLIENT_DEADLINE: CallPolicy = { isIdempotent: true, hasClientDeadline: true }

export function callPolicy(isIdempotent: boolean, hasClientDeadline: boolean): CallPolicy {
  if (isIdempotent) return hasClientDeadline ? IDEMPOTENT_UNTIL_CLIENT_DEADLINE : IDEMPOTENT
  return hasClientDeadline ? SINGLE_CALL_UNTIL_CLIENT_DEADLINE : SINGLE_CALL
}
