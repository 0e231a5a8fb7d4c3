/**
 * The two kinds of tokens that auth-svc issues. Each has its own `typ` and audience, so that a token of one kind is
 * never accepted as the other (RFC 8725 section 3.12).
 */
import type { Role } from './principal.ts'

/** Claims of an access token: RFC 9068, plus the session, the role and the e-mail address. */
export interface AccessClaims {
  iss: string
  aud: string
  sub: string
  sid: string
  jti: string
  /** Seconds since the epoch with milliseconds as decimals, so that revocations can separate tokens of a second. */
  iat: number
  exp: number
  role: Role
  email: string
  auth_time: number
  amr: string[]
}

/** Header type and required claims of access tokens. Their audience is the setting `TOKEN_AUDIENCE`. */
export const ACCESS_TOKEN = {
  typ: 'at+jwt',
  requiredClaims: ['iss', 'aud', 'sub', 'sid', 'jti', 'iat', 'exp', 'role', 'email', 'auth_time', 'amr'],
}

/** Header type and required claims of service tokens. */
export const SERVICE_TOKEN = { typ: 'service+jwt', requiredClaims: ['iss', 'aud', 'sub', 'iat', 'exp'] }

/** The `aud` claim of service tokens. */
export const SERVICE_AUDIENCE = 'gatehouse-internal'

/** The JWS algorithm that auth-svc signs with (RFC 8037). */
export const SIGNING_ALGORITHM = 'EdDSA'

/** What a token must match exactly, in addition to a valid signature and an `exp` in the future. */
export interface ExpectedToken {
  readonly typ: string
  readonly requiredClaims: readonly string[]
  readonly issuer: string
  readonly audience: string
}
