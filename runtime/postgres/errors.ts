/** What failures of PostgreSQL, its driver and its pool mean to a caller. */
import pg from 'pg'
import { Code, StatusError, unavailable } from '../status.ts'

// SQLSTATE (PostgreSQL, appendix A): class 08 connection, class 53 resources (such as too many connections), 57P*
// shutdown and crash, 25006 a primary that has become a standby.
const UNAVAILABLE_STATE = /^(08|53|57P|25006)/
const QUERY_CANCELED = '57014'
const CONFLICT_STATES = ['40001', '40P01'] // serialization failure, deadlock

const UNREACHABLE = /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_AGAIN|ENOENT)/
// What pg, its pool and Kysely say without a code.
const NO_CONNECTION =
  /^(Connection terminated|Client (has encountered a connection error|was closed)|Cannot use a pool|driver has)/
const READ_TIMEOUT = 'Query read timeout'
/** The pool says so of who waited in vain for one of its connections; a server that does not answer is "terminated". */
const ALL_IN_USE = 'timeout exceeded when trying to connect'

/**
 * What a failure of the database means to a caller: UNAVAILABLE when the connection is lost or none can be had, with the
 * reason `database_busy` when all are in use by others, DEADLINE_EXCEEDED when a statement took too long, ABORTED when another transaction won and a retry may succeed.
 * @returns the error itself where only its thrower can tell, as with a violated constraint.
 */
export function toStatusError(error: unknown): unknown {
  if (error instanceof StatusError || !(error instanceof Error)) return error
  const state = error instanceof pg.DatabaseError ? (error.code ?? '') : ''
  if (UNAVAILABLE_STATE.test(state) || (state === '' && isUnreachable(error))) {
    return unavailable('The database cannot be reached', { cause: error })
  }
  if (error.message === ALL_IN_USE) {
    return unavailable('All connections to the database are in use', {
      reason: 'database_busy',
      retryAfterMs: 1000,
      cause: error,
    })
  }
  if (state === QUERY_CANCELED || error.message === READ_TIMEOUT) {
    return new StatusError(Code.DEADLINE_EXCEEDED, 'The database took too long', {
      reason: 'deadline_exceeded',
      cause: error,
    })
  }
  if (CONFLICT_STATES.includes(state)) {
    return new StatusError(Code.ABORTED, 'Another change came in between', { reason: 'aborted', cause: error })
  }
  return error
}

function isUnreachable(error: Error): boolean {
  return ('code' in error && UNREACHABLE.test(String(error.code))) || NO_CONNECTION.test(error.message)
}
