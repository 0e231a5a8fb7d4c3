/**
 * Who calls: a token of auth-svc, verified against its key set. Each kind of token has its own `typ` and audience, so
 * that one can never stand in for another (RFC 8725 section 3.12).
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { createVerifier, TokenError } from 'fast-jwt'
import type { Logger } from './logger.ts'
import { type StatusError, unauthenticated, unavailable } from './status.ts'

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

/** RFC 7517, 7518 and 8037. An absent member may be an empty string, as the contract's message has it. */
export interface Jwk {
  kty: string
  kid: string
  crv?: string
  x?: string
  y?: string
  n?: string
  e?: string
  use?: string
  alg?: string
}

/** A public key, and the one algorithm that it is used with: never one that the token names (RFC 8725 section 3.1). */
export interface VerificationKey {
  readonly kid: string
  readonly algorithm: 'EdDSA' | 'ES256' | 'RS256'
  readonly pem: string
}

export interface KeySource {
  /** The key as the set is known right now, without waiting. The same object as long as it is the same key. */
  current(kid: string): VerificationKey | undefined
  /**
   * The key, asked for where it is not known.
   * @throws StatusError UNAVAILABLE when the keys cannot be had: an unknown key is then not taken for a bad token.
   */
  find(kid: string): Promise<VerificationKey | undefined>
}

export interface RemoteKeySetOptions {
  fetch: () => Promise<readonly Jwk[]>
  logger?: Pick<Logger, 'warn'>
  minIntervalMs?: number
  retryMs?: number
  maxAgeMs?: number
  now?: () => number
}

/**
 * The key set of auth-svc, fetched when a `kid` is not in it, but not more often than `minIntervalMs`, or `retryMs`
 * while fetching fails: a flood of invented kids costs no fetches. Keys that the set no longer holds are forgotten with
 * the next fetch, which happens every `maxAgeMs` at the least.
 */
export function createRemoteKeySet(
  options: RemoteKeySetOptions,
): KeySource & { refresh(): Promise<void>; readonly isLoaded: boolean } {
  const { fetch, logger, minIntervalMs = 5_000, retryMs = 1_000, maxAgeMs = 60_000, now = Date.now } = options
  let keys: ReadonlyMap<string, VerificationKey> = new Map()
  let passedOver: ReadonlySet<string> = new Set()
  let fetchedAt = Number.NEGATIVE_INFINITY
  let attemptedAt = Number.NEGATIVE_INFINITY
  let fetching: Promise<void> | undefined
  /** Of the latest attempt. */
  let failure: unknown

  async function load(): Promise<void> {
    attemptedAt = now()
    try {
      adopt(await fetch())
      fetchedAt = now()
      failure = undefined
    } catch (error) {
      failure = error
      throw error
    }
  }

  /** A key of the set that is of no use to us does not take the others with it. */
  function adopt(jwks: readonly Jwk[]): void {
    const next = new Map<string, VerificationKey>()
    const useless = new Set<string>()
    for (const jwk of jwks) {
      const problem = problemOf(jwk) ?? (next.has(jwk.kid) ? 'its kid stands twice in the set' : undefined)
      if (problem === undefined) {
        const key = toVerificationKey(jwk)
        const known = keys.get(key.kid)
        const isSame = known?.pem === key.pem && known.algorithm === key.algorithm
        next.set(key.kid, isSame ? known : key)
        continue
      }
      const entry = `${jwk.kid} ${problem}`
      useless.add(entry)
      if (!passedOver.has(entry)) logger?.warn({ kid: jwk.kid, problem }, 'a key of the key set is not used')
    }
    keys = next
    passedOver = useless
  }

  function refresh(): Promise<void> {
    fetching ??= load().finally(() => {
      fetching = undefined
    })
    return fetching
  }

  /** A refresh that is due and allowed; what goes wrong is kept in `failure`. */
  function refreshIf(due: boolean): Promise<void> | undefined {
    if (!due) return undefined
    const interval = failure === undefined ? minIntervalMs : retryMs
    const mayFetch = fetching !== undefined || now() - attemptedAt >= interval
    return mayFetch ? refresh().catch(() => {}) : undefined
  }

  const isStale = () => now() - fetchedAt > maxAgeMs

  return {
    refresh,
    get isLoaded() {
      return keys.size > 0
    },
    current(kid) {
      // A known key serves while a newer set is on its way, and while auth-svc is away.
      void refreshIf(isStale())
      return keys.get(kid)
    },
    async find(kid) {
      const known = keys.get(kid)
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

/** @throws where the key is not one that tokens can be verified with. */
export function toVerificationKey(jwk: Jwk): VerificationKey {
  const problem = problemOf(jwk)
  const algorithm = algorithmOf(jwk)
  if (problem !== undefined || algorithm === undefined) throw new Error(`Key ${jwk.kid} cannot be used: ${problem}`)
  const pem = publicKeyOf(jwk).export({ format: 'pem', type: 'spki' }).toString()
  return { kid: jwk.kid, algorithm, pem }
}

/** Why a key is of no use; undefined where it is. */
function problemOf(jwk: Jwk): string | undefined {
  if (jwk.kid === '') return 'it has no kid'
  if (jwk.use && jwk.use !== 'sig') return 'it is not for signatures'
  const algorithm = algorithmOf(jwk)
  if (algorithm === undefined) return 'it is neither Ed25519, P-256 nor RSA'
  if (jwk.alg && jwk.alg !== algorithm) return `it is not for ${algorithm}`
  try {
    const { modulusLength = 0, publicExponent = 0n } = publicKeyOf(jwk).asymmetricKeyDetails ?? {}
    const isWeak = modulusLength < 2048 || modulusLength > 8192 || publicExponent < 65_537n
    return algorithm === 'RS256' && isWeak ? 'RSA takes 2048 to 8192 bits and an exponent from 65537' : undefined
  } catch (error) {
    return `it cannot be read: ${(error as Error).message}`
  }
}

/** P-256 alone for ES256: other curves are as long and are not it (RFC 7518 section 3.4). */
function algorithmOf({ kty, crv }: Jwk): VerificationKey['algorithm'] | undefined {
  if (kty === 'OKP' && crv === 'Ed25519') return 'EdDSA'
  if (kty === 'EC' && crv === 'P-256') return 'ES256'
  return kty === 'RSA' ? 'RS256' : undefined
}

function publicKeyOf({ kty, crv = '', x = '', y = '', n = '', e = '' }: Jwk): KeyObject {
  const members = { OKP: { crv, x }, EC: { crv, x, y }, RSA: { n, e } }[kty]
  return createPublicKey({ key: { kty, ...members }, format: 'jwk' })
}

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
  const access = kindOf({ ...ACCESS_TOKEN, issuer, audience }, toUser)
  const service = kindOf({ ...SERVICE_TOKEN, issuer, audience: SERVICE_AUDIENCE }, toService)

  function verifyAtOnce(token: string): Principal | Promise<Principal> {
    const known = cache.get(token)
    if (known !== undefined) return known
    const { kid, typ } = readHeader(token)
    const kind = acceptService && typ === SERVICE_TOKEN.typ ? service : access
    const key = keys.current(kid)
    const read = key && kind.compiled.get(key)
    return key && typeof read === 'function' ? verifyBy(key, read, kind, token) : verifyByNewKey(kid, kind, token)
  }

  async function verifyByNewKey(kid: string, kind: TokenKind, token: string): Promise<Principal> {
    const key = keys.current(kid) ?? (await keys.find(kid))
    if (key === undefined) throw invalidToken()
    const compiled = kind.compiled.get(key) ?? compile(key, kind.expected)
    kind.compiled.set(key, compiled)
    const read = await compiled
    kind.compiled.set(key, read)
    // While this call waited, another with the same token may have got there.
    return cache.get(token) ?? verifyBy(key, read, kind, token)
  }

  function verifyBy(key: VerificationKey, read: ReadClaims, { toPrincipal }: TokenKind, token: string): Principal {
    const claims = claimsOf(read, token)
    const principal = toPrincipal(claims)
    cache.put(token, { key, principal, expiresAt: Number(claims['exp']) * 1000 })
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

export interface VerifiedToken {
  readonly key: VerificationKey
  readonly principal: Principal
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

export interface TokenCache {
  get(token: string): Principal | undefined
  put(token: string, verified: VerifiedToken): void
}

export interface TokenCacheOptions {
  /** A token does not outlive the withdrawal of its key. */
  keys: Pick<KeySource, 'current'>
  /** Entries at most. A session needs one. */
  capacity: number
  now?: () => number
}

/**
 * Tokens that were verified already, so that the signature of each is checked once and not at each request: a look-up
 * takes 0.2 us, a verification by Ed25519 45 to 65 us. Keyed by the whole token: a key made of a part of it would let a
 * token with another signature in.
 *
 * Two generations bound it: when the young one is full it becomes the old one, and what was not asked for since is
 * forgotten with the next turn. Only verified tokens come in, so a flood of invalid ones evicts nothing.
 */
export function createTokenCache(options: TokenCacheOptions): TokenCache {
  const { keys, capacity, now = Date.now } = options
  const generation = Math.max(1, Math.floor(capacity / 2))
  let young = new Map<string, VerifiedToken>()
  let old = new Map<string, VerifiedToken>()

  function put(token: string, verified: VerifiedToken): void {
    if (young.size >= generation) {
      old = young
      young = new Map()
    }
    young.set(token, verified)
  }

  return {
    get(token) {
      const recent = young.get(token)
      const verified = recent ?? old.get(token)
      if (verified === undefined) return undefined
      if (verified.expiresAt <= now() || keys.current(verified.key.kid) !== verified.key) {
        young.delete(token)
        old.delete(token)
        return undefined
      }
      if (recent === undefined) put(token, verified)
      return verified.principal
    },
    put,
  }
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

/**
 * The header of a token, which is not verified yet. The three segments must stand each in its one canonical form; their
 * alphabet is looked at by fast-jwt.
 */
function readHeader(token: string): { kid: string; typ: unknown } {
  const [first, last] = [token.indexOf('.'), token.lastIndexOf('.')]
  const isSound =
    token.length <= MAX_TOKEN_LENGTH &&
    endsCanonically(token, 0, first) &&
    endsCanonically(token, first + 1, last) &&
    endsCanonically(token, last + 1, token.length)
  const header = isSound ? parseHeader(token.slice(0, first)) : undefined
  if (typeof header?.kid !== 'string' || header.kid === '') throw invalidToken()
  return { kid: header.kid, typ: header.typ }
}

function parseHeader(segment: string): { kid?: unknown; typ?: unknown } | undefined {
  try {
    return JSON.parse(Buffer.from(segment, 'base64url').toString()) ?? undefined
  } catch {
    return undefined
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
