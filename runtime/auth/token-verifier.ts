/**
 * Verifies access tokens and service tokens of auth-svc against its key set.
 *
 * Verification covers form, signature, `typ`, `iss`, `aud`, `exp` and the form of the required claims. It does not cover
 * revocation, which the gateway checks on each request.
 */
import { createVerifier, TokenError } from 'fast-jwt'
import { type StatusError, unauthenticated } from '../status.ts'
import type { KeySource, VerificationKey } from './key-set.ts'
import type { Principal, ServicePrincipal, UserPrincipal } from './principal.ts'
import { createTokenCache } from './token-cache.ts'
import { hasUtf8Payload, headerSegmentOf, parseTokenHeader, type TokenHeader } from './token-header.ts'
import {
  ACCESS_TOKEN,
  type AccessClaims,
  type ExpectedToken,
  SERVICE_AUDIENCE,
  SERVICE_TOKEN,
} from './token-profile.ts'

/** Verifies a token and returns its claims. @throws TokenError of fast-jwt if the token is invalid. */
export type ClaimsVerifier = (token: string) => Record<string, unknown>

export interface TokenVerifier {
  /**
   * Verifies a token.
   * @throws StatusError UNAUTHENTICATED with the reason `token_invalid` or `token_expired`; UNAVAILABLE with the reason
   * `keys_unavailable` if the key set cannot be fetched.
   */
  verify(token: string): Promise<Principal>
}

export interface SyncTokenVerifier extends TokenVerifier {
  /**
   * Same as `verify`, but returns a promise only if the key must be fetched or compiled first. Errors of the
   * synchronous path are thrown.
   */
  verifyMaybeAsync(token: string): Principal | Promise<Principal>
}

export interface TokenVerifierOptions {
  /** Source of the verification keys. */
  keys: KeySource
  /** Required `iss` claim. */
  issuer: string
  /** Required `aud` claim of access tokens. */
  audience: string
  /** Accepts service tokens in addition to access tokens. Default false. */
  acceptService?: boolean
  /** Maximum number of verified tokens to cache. Default 20,000. The least recently used are dropped. */
  capacity?: number
  /**
   * Creates the function that verifies tokens of one key. Called once per key and kind of token, since parsing a key
   * takes 10 us. Default: a verifier of fast-jwt.
   */
  compile?: (key: VerificationKey, expected: ExpectedToken) => ClaimsVerifier | Promise<ClaimsVerifier>
}

interface TokenKind {
  readonly expected: ExpectedToken
  readonly toPrincipal: (claims: Record<string, unknown>) => Principal
  readonly compiled: WeakMap<VerificationKey, ClaimsVerifier | Promise<ClaimsVerifier>>
}

// One header per key and kind of token; two keys are in use at a time.
const MAX_CACHED_HEADERS = 16

/** Creates a verifier that checks the signature of each token once and then serves the token from a cache. */
export function createTokenVerifier(options: TokenVerifierOptions): SyncTokenVerifier {
  const { keys, issuer, audience, acceptService = false, capacity = 20_000, compile = compileFastJwt } = options
  const cache = createTokenCache({ keys, capacity })
  const headers = new Map<string, TokenHeader>()
  const access = createKind({ ...ACCESS_TOKEN, issuer, audience }, toUser)
  const service = createKind({ ...SERVICE_TOKEN, issuer, audience: SERVICE_AUDIENCE }, toService)

  function verifyMaybeAsync(token: string): Principal | Promise<Principal> {
    const cached = cache.get(token)
    if (cached !== undefined) return cached
    const header = headerOf(token)
    const kind = acceptService && header.typ === SERVICE_TOKEN.typ ? service : access
    const key = keys.current(header.kid)
    const verifyClaims = key && kind.compiled.get(key)
    return key && typeof verifyClaims === 'function'
      ? verifyWith(key, verifyClaims, kind, token, header)
      : verifyWithNewKey(kind, token, header)
  }

  /** Tokens of one key share their header, so it is parsed once. */
  function headerOf(token: string): TokenHeader {
    const segment = headerSegmentOf(token)
    const header = segment === undefined ? undefined : (headers.get(segment) ?? parseTokenHeader(segment))
    if (header === undefined) throw invalidToken()
    return header
  }

  async function verifyWithNewKey(kind: TokenKind, token: string, header: TokenHeader): Promise<Principal> {
    const key = keys.current(header.kid) ?? (await keys.find(header.kid))
    if (key === undefined) throw invalidToken()
    const pending = kind.compiled.get(key) ?? compile(key, kind.expected)
    kind.compiled.set(key, pending)
    const verifyClaims = await pending
    kind.compiled.set(key, verifyClaims)
    // A concurrent call may have verified the same token in the meantime.
    return cache.get(token) ?? verifyWith(key, verifyClaims, kind, token, header)
  }

  function verifyWith(
    key: VerificationKey,
    verifyClaims: ClaimsVerifier,
    { toPrincipal }: TokenKind,
    token: string,
    header: TokenHeader,
  ): Principal {
    const claims = claimsOf(verifyClaims, token)
    if (!hasUtf8Payload(token)) throw invalidToken()
    const principal = toPrincipal(claims)
    cache.put(token, { key, principal, expiresAt: Number(claims['exp']) * 1000 })
    // Only headers of verified tokens are cached, so that forged tokens cannot evict them.
    if (!headers.has(header.segment)) {
      if (headers.size >= MAX_CACHED_HEADERS) headers.clear()
      headers.set(header.segment, header)
    }
    return principal
  }

  return { verifyMaybeAsync, verify: async token => verifyMaybeAsync(token) }
}

function createKind(expected: ExpectedToken, toPrincipal: TokenKind['toPrincipal']): TokenKind {
  return { expected, toPrincipal, compiled: new WeakMap() }
}

function claimsOf(verifyClaims: ClaimsVerifier, token: string): Record<string, unknown> {
  try {
    return verifyClaims(token)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw error.code === TokenError.codes.expired
      ? unauthenticated('token_expired', 'The access token has expired')
      : invalidToken()
  }
}

function compileFastJwt(key: VerificationKey, expected: ExpectedToken): ClaimsVerifier {
  return createVerifier({
    key: key.pem,
    algorithms: [key.algorithm],
    allowedIss: expected.issuer,
    allowedAud: expected.audience,
    checkTyp: expected.typ,
    requiredClaims: [...expected.requiredClaims],
    cache: false,
  })
}

// As auth-svc writes them. The services query by these ids, and revocations compare them as text.
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function toUser(claims: Record<string, unknown>): UserPrincipal {
  const { sub, sid, jti, role, email, iat, exp, auth_time: authTime } = claims as unknown as AccessClaims
  const areStrings = [sub, sid, jti, role, email].every(text => typeof text === 'string' && text !== '')
  if (!areStrings || !UUID.test(sub) || !UUID.test(sid) || ![iat, exp, authTime].every(Number.isFinite))
    throw invalidToken()
  return {
    kind: 'user',
    userId: sub,
    sessionId: sid,
    tokenId: jti,
    role,
    email,
    issuedAt: Math.round(iat * 1000),
    expiresAt: exp * 1000,
    authenticatedAt: authTime * 1000,
  }
}

function toService({ sub }: Record<string, unknown>): ServicePrincipal {
  if (typeof sub !== 'string' || sub === '') throw invalidToken()
  return { kind: 'service', service: sub }
}

function invalidToken(): StatusError {
  return unauthenticated('token_invalid', 'The access token is not valid')
}
