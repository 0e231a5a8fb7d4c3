/**
 * Signs tokens: JWS in compact form (RFC 7515), EdDSA. Each kind has its own `typ` and audience.
 *
 * Not by fast-jwt, which verifies them: its signer cuts `iat` down to whole seconds (6.3.6), and a token issued right
 * after a role change would be revoked along with those of before.
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

export interface AccessTokenSubject {
  userId: string
  sessionId: string
  role: Role
  email: string
  /** Milliseconds since the epoch, by PostgreSQL's clock, as all times here. */
  issuedAt: number
  authenticatedAt: number
  /** When the session ends; its tokens do not outlive it. */
  sessionExpiresAt: number
}

export interface TokenIssuer {
  /** @returns the token and the seconds that it is good for. */
  accessToken(subject: AccessTokenSubject): { token: string; expiresIn: number }
  /** For calls to our own services; the same one for half a minute. */
  serviceToken(): string
}

export interface TokenIssuerOptions {
  keys: Pick<SigningKeys, 'activeAt'>
  issuer: string
  audience: string
  accessTtlS: number
  /** Milliseconds since the epoch. */
  now?: () => number
}

const SERVICE_TTL_S = 60

export function createTokenIssuer(options: TokenIssuerOptions): TokenIssuer {
  const { keys, issuer, audience, accessTtlS, now = Date.now } = options
  let service = { token: '', renewAt: 0 }

  function signed(typ: string, claims: object, time: number): string {
    const { kid, privateKey } = keys.activeAt(time)
    const input = `${encode({ alg: SIGNING_ALGORITHM, typ, kid })}.${encode(claims)}`
    return `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`
  }

  return {
    accessToken({ userId, sessionId, role, email, issuedAt, authenticatedAt, sessionExpiresAt }) {
      // Rounded up, so that the token is good for at least as long as it says.
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
      return { token: signed(ACCESS_TOKEN.typ, claims, issuedAt), expiresIn: Math.max(0, exp - issuedSecond) }
    },
    serviceToken() {
      const time = now()
      if (time >= service.renewAt) {
        const iat = Math.floor(time / 1000)
        const claims = { iss: issuer, aud: SERVICE_AUDIENCE, sub: 'auth-svc', iat, exp: iat + SERVICE_TTL_S }
        service = {
          token: signed(SERVICE_TOKEN.typ, claims, time),
          renewAt: time + (SERVICE_TTL_S / 2) * 1000,
        }
      }
      return service.token
    },
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
