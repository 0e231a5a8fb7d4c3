/**
 * Key and field names of the Redis stream that distributes revocations: auth-svc writes it, every gateway reads it.
 *
 * The stream may lose entries; PostgreSQL has all of them. A gateway detects a loss by the epoch and the heartbeat, and
 * then fetches a snapshot from auth-svc.
 */

/** Stream with one entry for each revocation. Its fields are `REVOCATION_FIELDS`. */
export const REVOCATION_STREAM = 'gatehouse:revocations'

/** Random string that identifies the stream. It is lost together with the stream; auth-svc then sets a new one. */
export const REVOCATION_EPOCH = 'gatehouse:revocations:epoch'

/**
 * Time up to which the stream is complete, in milliseconds since the epoch by Redis' clock. auth-svc sets it each
 * second.
 */
export const REVOCATION_HEARTBEAT = 'gatehouse:revocations:heartbeat'

/** Field names of a stream entry. Values are text; times are milliseconds since the Unix epoch. */
export const REVOCATION_FIELDS = {
  /** Kind of the revoked object: `sid` (a session), `jti` (one access token) or `user`. */
  kind: 'kind',
  /** The session, token or user id. */
  id: 'id',
  /** Only for `user`: tokens issued up to this time are revoked. */
  notAfter: 'not_after',
  /** Time from which no affected token can be valid, so that the entry may be dropped. */
  expiresAt: 'expires_at',
} as const
