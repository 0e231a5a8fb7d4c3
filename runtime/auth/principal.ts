/**
 * Who calls: a token of auth-svc, verified against its key set. Each kind of token has its own `typ` and audience, so
 * that one can never stand in for another (RFC 8725 section 3.12).
 */
import { createVerifier, TokenError } from 'fast-jwt'
import { type StatusError, unauthenticated } from '../status.ts'
import type { KeySource, VerificationKey } from './key-set.ts'
import { createTokenCache } from './token-cache.ts'

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

/** What auth-svc signs with. */
export const SIGNING_ALGORITHM = 'EdDSA'

/** What a token must be, all of it exactly, besides genuine and not expired. */
export interface ExpectedToken {
  readonly typ: string
  readonly requiredClaims: readonly string[]
  readonly issuer: string
  readonly audience: string
}

/** The claims of a token that it has verified. @throws TokenError of fast-jwt. */
export type ReadClaims = (token: string) => Record<string, unknown>

export interface TokenVerifier {
  /** @throws StatusError UNAUTHENTICATED with reason token_invalid or token_expired. */
  verify(token: string): Promise<Principal>
}

export interface PromptTokenVerifier extends TokenVerifier {
  /** As `verify`, but without a promise where nothing need be waited for; what it refuses then, it throws. */
  verifyAtOnce(token: string): Principal | Promise<Principal>
}

export interface TokenVerifierOptions {
  keys: KeySource
  issuer: string
  /** Of access tokens; service tokens are accepted only where `acceptService` is set. */
  audience: string
  acceptService?: boolean
  /** Tokens that are remembered at most. */
  capacity?: number
  /** Makes what verifies by one key. It is made once for a key: parsing one anew for each token takes 10 us. */
  compile?: (key: VerificationKey, expected: ExpectedToken) => ReadClaims | Promise<ReadClaims>
}

interface TokenKind {
  readonly expected: ExpectedToken
  readonly toPrincipal: (claims: Record<string, unknown>) => Principal
  readonly compiled: WeakMap<VerificationKey, ReadClaims | Promise<ReadClaims>>
}

/** Revocation is no part of it: that is looked at on each request, at the gateway. */
export function createTokenVerifier(options: TokenVerifierOptions): PromptTokenVerifier {
  const { keys, issuer, audience, acceptService = false, capacity = 20_000, compile = compileFastJwt } = options
  const cache = createTokenCache({ keys, capacity })
  const headers = new Map<string, TokenHeader>()
  const access = kindOf({ ...ACCESS_TOKEN, issuer, audience }, toUser)
  const service = kindOf({ ...SERVICE_TOKEN, issuer, audience: SERVICE_AUDIENCE }, toService)

  function verifyAtOnce(token: string): Principal | Promise<Principal> {
    const known = cache.get(token)
    if (known !== undefined) return known
    const header = headerOf(token)
    const kind = acceptService && header.typ === SERVICE_TOKEN.typ ? service : access
    const key = keys.current(header.kid)
    const read = key && kind.compiled.get(key)
    return key && typeof read === 'function'
      ? verifyBy(key, read, kind, token, header)
      : verifyByNewKey(kind, token, header)
  }

  /** Read once for all tokens that have the same: those of a key differ in what comes after it. */
  function headerOf(token: string): TokenHeader {
    const segment = headerSegment(token)
    return headers.get(segment) ?? parseHeader(segment)
  }

  async function verifyByNewKey(kind: TokenKind, token: string, header: TokenHeader): Promise<Principal> {
    const key = keys.current(header.kid) ?? (await keys.find(header.kid))
    if (key === undefined) throw invalidToken()
    const compiled = kind.compiled.get(key) ?? compile(key, kind.expected)
    kind.compiled.set(key, compiled)
    const read = await compiled
    kind.compiled.set(key, read)
    // While this call waited, another with the same token may have got there.
    return cache.get(token) ?? verifyBy(key, read, kind, token, header)
  }

  function verifyBy(
    key: VerificationKey,
    read: ReadClaims,
    { toPrincipal }: TokenKind,
    token: string,
    header: TokenHeader,
  ): Principal {
    const claims = claimsOf(read, token)
    const principal = toPrincipal(claims)
    cache.put(token, { key, principal, expiresAt: Number(claims['exp']) * 1000 })
    // Of genuine tokens only: what strangers write into theirs takes nobody's place.
    if (!headers.has(header.segment)) {
      if (headers.size >= MOST_HEADERS) headers.clear()
      headers.set(header.segment, header)
    }
    return principal
  }

  return { verifyAtOnce, verify: async token => verifyAtOnce(token) }
}

function kindOf(expected: ExpectedToken, toPrincipal: TokenKind['toPrincipal']): TokenKind {
  return { expected, toPrincipal, compiled: new WeakMap() }
}

/** @throws StatusError for a token that is not genuine, not what is expected, or expired. */
function claimsOf(read: ReadClaims, token: string): Record<string, unknown> {
  try {
    return read(token)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw error.code === TokenError.codes.expired
      ? unauthenticated('token_expired', 'The access token has expired')
      : invalidToken()
  }
}

function compileFastJwt(key: VerificationKey, expected: ExpectedToken): ReadClaims {
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

function toUser(claims: Record<string, unknown>): UserPrincipal {
  const { sub, sid, jti, role, email, iat, exp, auth_time: authTime } = claims as unknown as AccessClaims
  const areStrings = [sub, sid, jti, role, email].every(text => typeof text === 'string' && text !== '')
  if (!areStrings || ![iat, exp, authTime].every(Number.isFinite)) throw invalidToken()
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

// Longer than any token we issue by far; bounds the work on what strangers send.
const MAX_TOKEN_LENGTH = 4096

/** Two keys at a time, and what else may stand in a header. */
const MOST_HEADERS = 16

/**
 * The first segment of a token. All three must stand each in its one canonical form; their alphabet is looked at by
 * fast-jwt.
 */
function headerSegment(token: string): string {
  const [first, last] = [token.indexOf('.'), token.lastIndexOf('.')]
  const isSound =
    token.length <= MAX_TOKEN_LENGTH &&
    endsCanonically(token, 0, first) &&
    endsCanonically(token, first + 1, last) &&
    endsCanonically(token, last + 1, token.length)
  if (!isSound) throw invalidToken()
  return token.slice(0, first)
}

interface TokenHeader {
  /** As it stands in the token. */
  readonly segment: string
  readonly kid: string
  readonly typ: unknown
}

/** Of a token that is not verified yet. */
function parseHeader(segment: string): TokenHeader {
  const { kid, typ } = parseJson(Buffer.from(segment, 'base64url').toString()) ?? {}
  if (typeof kid !== 'string' || kid === '') throw invalidToken()
  return { segment, kid, typ }
}

function parseJson(text: string): { kid?: unknown; typ?: unknown } | null {
  try {
    return JSON.parse(text)
  } catch {
    throw invalidToken()
  }
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** No bits past the last byte: they would let one signature be written in several ways (RFC 4648 section 3.5). */
function endsCanonically(token: string, start: number, end: number): boolean {
  const length = end - start
  if (length <= 0 || length % 4 === 1) return false
  const unusedBits = [0, 0, 0b1111, 0b11][length % 4] as number
  return (BASE64URL.indexOf(token.charAt(end - 1)) & unusedBits) === 0
}

const BEARER = 'Bearer '

/** RFC 6750 section 2.1; the scheme is case-insensitive (RFC 9110 section 11.1). */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  // As nearly everybody writes it. More spaces than the one make no token of what follows; they are left to the pattern.
  if (authorization.startsWith(BEARER) && authorization.indexOf(' ', BEARER.length) === -1) {
    return authorization.slice(BEARER.length) || undefined
  }
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1]
}
