/** Maps errors of PostgreSQL, its driver and the connection pool to gRPC status codes. */
import pg from 'pg'
import { Code, StatusError, unavailable } from '../status.ts'

// SQLSTATE (PostgreSQL, appendix A): class 08 connection exception, class 53 insufficient resources (such as too many
// connections), 57P* shutdown and crash, 25006 write to a standby (after a failover).
const UNAVAILABLE_STATE = /^(08|53|57P|25006)/
const QUERY_CANCELED = '57014'
const CONFLICT_STATES = ['40001', '40P01'] // serialization failure, deadlock
// character_not_in_repertoire, untranslatable_character: NUL in a text parameter, or escaped in JSON.
const NUL_STATES = ['22021', '22P05']

const UNREACHABLE = /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_AGAIN|ENOENT)/
// Messages of pg, its pool and Kysely for errors without a code.
const NO_CONNECTION =
  /^(Connection terminated|Client (has encountered a connection error|was closed)|Cannot use a pool|driver has)/
/** Message of pg if no reply arrived within `query_timeout`. */
const READ_TIMEOUT = 'Query read timeout'
/** Message of the pool if no connection became free in time. An unresponsive server is "terminated" instead. */
const POOL_EXHAUSTED = 'timeout exceeded when trying to connect'

/**
 * Converts a database error to a StatusError:
 *
 * - UNAVAILABLE if the connection is lost or cannot be established; with the reason `database_busy` if all connections
 *   stayed in use for the acquire timeout.
 * - DEADLINE_EXCEEDED if a statement exceeded the statement timeout.
 * - INVALID_ARGUMENT for NUL in a parameter, which request validation did not find.
 * - ABORTED after a serialization failure or deadlock; a retry may succeed.
 * @returns other errors unchanged. The meaning of a violated constraint, for example, is known to the caller only.
 */
export function toStatusError(error: unknown): unknown {
  if (error instanceof StatusError || !(error instanceof Error)) return error
  const state = error instanceof pg.DatabaseError ? (error.code ?? '') : ''
  if (UNAVAILABLE_STATE.test(state) || (state === '' && isUnreachable(error))) {
    return unavailable('The database is unreachable', { cause: error })
  }
  if (error.message === POOL_EXHAUSTED) {
    return unavailable('All connections to the database are in use', {
      reason: 'database_busy',
      retryAfterMs: 1000,
      cause: error,
    })
  }
  if (state === QUERY_CANCELED || isReadTimeout(error)) {
    return new StatusError(Code.DEADLINE_EXCEEDED, 'The database statement timed out', {
      reason: 'deadline_exceeded',
      cause: error,
    })
  }
  if (NUL_STATES.includes(state)) {
    return new StatusError(Code.INVALID_ARGUMENT, 'A text of the request contains NUL (U+0000)', {
      reason: 'invalid_argument',
      cause: error,
    })
  }
  if (CONFLICT_STATES.includes(state)) {
    return new StatusError(Code.ABORTED, 'The request conflicts with a concurrent change', {
      reason: 'aborted',
      cause: error,
    })
  }
  return error
}

/** Whether a statement failed because no reply arrived. */
export function isReadTimeout(error: unknown): error is Error {
  return error instanceof Error && error.message === READ_TIMEOUT
}

function isUnreachable(error: Error): boolean {
  return ('code' in error && UNREACHABLE.test(String(error.code))) || NO_CONNECTION.test(error.message)
}
