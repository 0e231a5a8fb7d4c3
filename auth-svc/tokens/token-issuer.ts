/**
 * Issues tokens: JWS compact serialization (RFC 7515), signed with EdDSA. Access tokens and service tokens differ in
 * `typ` and audience, so that one is never accepted as the other.
 *
 * fast-jwt verifies these tokens but does not sign them: its signer truncates `iat` to whole seconds (6.3.6), and a
 * token issued just after a change of role would be covered by the revocation of the tokens issued before it.
 */
import { randomUUID, sign } from 'node:crypto'
import type { Role } from '#runtime/auth/principal.ts'
import {
  ACCESS_TOKEN,
  type AccessClaims,
  SERVICE_AUDIENCE,
  SERVICE_TOKEN,
  SIGNING_ALGORITHM,
} from '#runtime/auth/token-profile.ts'
import type { SigningKeys } from './signing-keys.ts'

/** User and session of an access token. Times are in milliseconds since the Unix epoch, by the clock of PostgreSQL. */
export interface SessionClaims {
  readonly userId: string
  readonly sessionId: string
  readonly role: Role
  readonly email: string
  readonly issuedAt: number
  readonly authenticatedAt: number
  /** The token expires no later. */
  readonly sessionExpiresAt: number
}

/** Signs with the key that is active at the time of issue. */
export interface TokenIssuer {
  /** @returns the token, and its lifetime in whole seconds. */
  accessToken(claims: SessionClaims): { token: string; expiresIn: number }
  /** For calls to user-svc. Valid for at least 30 s. */
  serviceToken(): string
}

export interface TokenIssuerOptions {
  keys: Pick<SigningKeys, 'activeAt'>
  issuer: string
  audience: string
  /** Lifetime of an access token, in seconds. */
  accessTtlS: number
  /** Clock for service tokens, in milliseconds since the epoch. Default `Date.now`. */
  now?: () => number
}

const SERVICE_TTL_S = 60

export function createTokenIssuer(options: TokenIssuerOptions): TokenIssuer {
  const { keys, issuer, audience, accessTtlS, now = Date.now } = options
  let serviceToken = { token: '', renewAt: 0 }

  function signToken(typ: string, claims: object, time: number): string {
    const { kid, privateKey } = keys.activeAt(time)
    const input = `${encode({ alg: SIGNING_ALGORITHM, typ, kid })}.${encode(claims)}`
    return `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`
  }

  return {
    accessToken({ userId, sessionId, role, email, issuedAt, authenticatedAt, sessionExpiresAt }) {
      // Round up, so that the token is valid for at least `expiresIn`.
      const issuedSecond = Math.ceil(issuedAt / 1000)
      const exp = Math.min(issuedSecond + accessTtlS, Math.floor(sessionExpiresAt / 1000))
      const claims: AccessClaims = {
        iss: issuer,
        aud: audience,
        sub: userId,
        sid: sessionId,
        jti: randomUUID(),
        iat: issuedAt / 1000,
        exp,
        role,
        email,
        auth_time: Math.floor(authenticatedAt / 1000),
        amr: ['pwd'],
      }
      return { token: signToken(ACCESS_TOKEN.typ, claims, issuedAt), expiresIn: Math.max(0, exp - issuedSecond) }
    },
    serviceToken() {
      const time = now()
      if (time >= serviceToken.renewAt) {
        const iat = Math.floor(time / 1000)
        const claims = { iss: issuer, aud: SERVICE_AUDIENCE, sub: 'auth-svc', iat, exp: iat + SERVICE_TTL_S }
        serviceToken = {
          token: signToken(SERVICE_TOKEN.typ, claims, time),
          renewAt: time + (SERVICE_TTL_S / 2) * 1000,
        }
      }
      return serviceToken.token
    },
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
