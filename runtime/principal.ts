/**
 * Who calls: a token of auth-svc, verified against its key set. Each kind of token has its own `typ` and audience, so
 * that one can never stand in for another (RFC 8725 section 3.12).
 */
import { createPublicKey } from 'node:crypto'
import { createDecoder, createVerifier, TokenError } from 'fast-jwt'
import { unauthenticated, unavailable } from './status.ts'

export type Role = 'user' | 'editor' | 'moderator' | 'admin'

/** The user that an access token speaks for. */
export interface UserPrincipal {
  readonly kind: 'user'
  readonly userId: string
  readonly sessionId: string
  readonly tokenId: string
  readonly role: Role
  readonly email: string
  /** Milliseconds since the epoch, as all times here. */
  readonly issuedAt: number
  readonly expiresAt: number
  /** When the user last proved who they are. */
  readonly authenticatedAt: number
}

/** One of our own services, by its service token. */
export interface ServicePrincipal {
  readonly kind: 'service'
  readonly service: string
}

export type Principal = UserPrincipal | ServicePrincipal

/** Claims of an access token: RFC 9068, with the session and what authorization needs. */
export interface AccessClaims {
  iss: string
  aud: string
  sub: string
  sid: string
  jti: string
  /** Seconds, with milliseconds as decimals: a revocation by time then tells tokens of the same second apart. */
  iat: number
  exp: number
  role: Role
  email: string
  auth_time: number
  amr: string[]
}

export const ACCESS_TOKEN = {
  typ: 'at+jwt',
  requiredClaims: ['iss', 'aud', 'sub', 'sid', 'jti', 'iat', 'exp', 'role', 'email', 'auth_time', 'amr'],
}
export const SERVICE_TOKEN = { typ: 'service+jwt', requiredClaims: ['iss', 'aud', 'sub', 'iat', 'exp'] }

/** Metadata keys that only the gateway sets; it drops what a client sends under them. */
export const CLIENT_ADDRESS = 'gatehouse-client-address'
export const CLIENT_USER_AGENT = 'gatehouse-client-user-agent'

/** The audience of service tokens; that of access tokens is a setting. */
export const SERVICE_AUDIENCE = 'gatehouse-internal'

export const SIGNING_ALGORITHM = 'EdDSA'

export interface Jwk {
  kty: string
  crv: string
  x: string
  kid: string
}

/** A public key in PEM, by `kid`. */
export interface KeySource {
  /** @throws StatusError UNAVAILABLE when the keys cannot be had: an unknown key is then not taken for a bad token. */
  find(kid: string): Promise<string | undefined>
}

/** A key source that also tells, without waiting, whether a key is still in the set. */
export interface WatchedKeySource extends KeySource {
  isKnown(kid: string): boolean
}

/**
 * The key set of auth-svc, fetched when a `kid` is not in it, but not more often than `minIntervalMs`, or `retryMs`
 * while fetching fails: a flood of invented kids costs no fetches. Keys that the set no longer holds are forgotten with
 * the next fetch, which happens every `maxAgeMs` at the least.
 */
export function createRemoteKeySet(options: {
  fetch: () => Promise<readonly Jwk[]>
  minIntervalMs?: number
  retryMs?: number
  maxAgeMs?: number
  now?: () => number
}): WatchedKeySource & { refresh(): Promise<void>; readonly isLoaded: boolean } {
  const { fetch, minIntervalMs = 5_000, retryMs = 1_000, maxAgeMs = 60_000, now = Date.now } = options
  let keys = new Map<string, string>()
  let fetchedAt = Number.NEGATIVE_INFINITY
  let attemptedAt = Number.NEGATIVE_INFINITY
  let fetching: Promise<void> | undefined
  /** Of the latest attempt. */
  let failure: unknown

  async function load(): Promise<void> {
    attemptedAt = now()
    try {
      const jwks = await fetch()
      keys = new Map(jwks.map(jwk => [jwk.kid, toPem(jwk)]))
      fetchedAt = now()
      failure = undefined
    } catch (error) {
      failure = error
      throw error
    }
  }

  function refresh(): Promise<void> {
    fetching ??= load().finally(() => {
      fetching = undefined
    })
    return fetching
  }

  /** A refresh that is due and allowed; what goes wrong is kept in `failure`. */
  function refreshIf(due: boolean): Promise<void> | undefined {
    const interval = failure === undefined ? minIntervalMs : retryMs
    const mayFetch = fetching !== undefined || now() - attemptedAt >= interval
    return due && mayFetch ? refresh().catch(() => {}) : undefined
  }

  const isStale = () => now() - fetchedAt > maxAgeMs

  return {
    refresh,
    get isLoaded() {
      return keys.size > 0
    },
    isKnown(kid) {
      void refreshIf(isStale())
      return keys.has(kid)
    },
    async find(kid) {
      const known = keys.get(kid)
      // A known key serves while a newer set is on its way, and while auth-svc is away.
      const refreshed = refreshIf(known === undefined || isStale())
      if (known === undefined) await refreshed
      const found = known ?? keys.get(kid)
      if (found === undefined && (failure !== undefined || keys.size === 0)) {
        throw unavailable('The keys that tokens are verified with cannot be had', {
          reason: 'keys_unavailable',
          cause: failure,
        })
      }
      return found
    },
  }
}

/** RFC 8037: an Ed25519 key as JWK. */
export function toPem(jwk: Jwk): string {
  return createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: 'jwk' })
    .export({ format: 'pem', type: 'spki' })
    .toString()
}

export interface TokenVerifier {
  /** @throws StatusError UNAUTHENTICATED with reason token_invalid or token_expired. */
  verify(token: string): Promise<Principal>
}

/** @param audience of access tokens; service tokens are accepted only where `acceptService` is set. */
export function createTokenVerifier(options: {
  keys: KeySource
  issuer: string
  audience: string
  acceptService?: boolean
}): TokenVerifier {
  const { keys, issuer, audience, acceptService = false } = options
  const key = async ({ header }: { header: { kid?: unknown } }) =>
    (await keys.find(assertKid(header.kid))) ?? unknownKey()
  const verifierFor = (kind: { typ: string; requiredClaims: string[] }, allowedAud: string) =>
    createVerifier({
      key,
      algorithms: [SIGNING_ALGORITHM],
      allowedIss: issuer,
      allowedAud,
      checkTyp: kind.typ,
      requiredClaims: kind.requiredClaims,
      cache: false,
    })
  const verifyAccess = verifierFor(ACCESS_TOKEN, audience)
  const verifyService = verifierFor(SERVICE_TOKEN, SERVICE_AUDIENCE)
  const decode = createDecoder({ complete: true })

  return {
    async verify(token) {
      assertStrictEncoding(token)
      try {
        if (acceptService && decode(token)?.header?.typ === SERVICE_TOKEN.typ) {
          return { kind: 'service', service: (await verifyService(token)).sub }
        }
        return toPrincipal(await verifyAccess(token))
      } catch (error) {
        throw toTokenError(error)
      }
    },
  }
}

/** @throws StatusError when the verified claims are not those of an access token. */
export function toPrincipal(claims: AccessClaims): UserPrincipal {
  const { sub, sid, jti, role, email } = claims
  const strings = [sub, sid, jti, role, email]
  const times = [claims.iat, claims.exp, claims.auth_time]
  if (!strings.every(text => typeof text === 'string' && text !== '') || !times.every(Number.isFinite)) {
    throw unauthenticated('token_invalid', 'The access token is not valid')
  }
  return {
    kind: 'user',
    userId: sub,
    sessionId: sid,
    tokenId: jti,
    role,
    email,
    issuedAt: Math.round(claims.iat * 1000),
    expiresAt: claims.exp * 1000,
    authenticatedAt: claims.auth_time * 1000,
  }
}

/** A refusal of fast-jwt in our terms. Errors of the key source pass through: they say nothing about the token. */
export function toTokenError(error: unknown): unknown {
  if (!(error instanceof TokenError)) return error
  const cause = error['originalError'] ?? error.cause
  if (error.code === TokenError.codes.keyFetchingError && cause !== undefined) return cause
  return error.code === TokenError.codes.expired
    ? unauthenticated('token_expired', 'The access token has expired')
    : unauthenticated('token_invalid', 'The access token is not valid')
}

/** @throws StatusError for a kid that is absent or not a string. */
export function assertKid(kid: unknown): string {
  if (typeof kid !== 'string' || kid === '') throw unauthenticated('token_invalid', 'The access token is not valid')
  return kid
}

export function unknownKey(): never {
  throw unauthenticated('token_invalid', 'The access token is not valid')
}

// Longer than any token we issue by far; bounds the work on what strangers send.
const MAX_TOKEN_LENGTH = 4096

/**
 * Three segments of base64url, each in its one canonical form: no padding, no other alphabet, and no set bits past the
 * last byte, which would let one signature be written in several ways (RFC 7515 section 2, RFC 4648 section 3.5).
 */
export function assertStrictEncoding(token: string): void {
  const segments = token.length <= MAX_TOKEN_LENGTH ? token.split('.') : []
  const canonical = segments.every(
    segment => segment !== '' && Buffer.from(segment, 'base64url').toString('base64url') === segment,
  )
  if (segments.length !== 3 || !canonical) throw unauthenticated('token_invalid', 'The access token is not valid')
}

/** RFC 6750 section 2.1; the scheme is case-insensitive (RFC 9110 section 11.1). */
export function bearerToken(authorization: string | undefined): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
}
