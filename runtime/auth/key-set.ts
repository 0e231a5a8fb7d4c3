/** The public keys of auth-svc: conversion of JWKs and a key set that is fetched and cached. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import type { Logger } from '../observability/logger.ts'
import { unavailable } from '../status.ts'

/** A public JSON Web Key (RFC 7517, 7518, 8037). Absent members may also be empty strings, as in protobuf. */
export interface Jwk {
  kty: string
  kid: string
  crv?: string
  x?: string
  y?: string
  n?: string
  e?: string
  use?: string
  key_ops?: readonly string[]
  alg?: string
}

/** A public key and its one algorithm. The `alg` header of a token never selects it (RFC 8725 section 3.1). */
export interface VerificationKey {
  readonly kid: string
  readonly algorithm: 'EdDSA' | 'ES256' | 'RS256'
  /** SubjectPublicKeyInfo. */
  readonly pem: string
}

export interface KeySource {
  /**
   * Returns a key of the cached key set without waiting; undefined if the set does not contain it. The same key is
   * always the same object, so that callers can compare keys by identity.
   */
  current(kid: string): VerificationKey | undefined
  /**
   * Returns a key, after a fetch if the cached key set does not contain it; undefined if the key does not exist.
   * @throws StatusError UNAVAILABLE with the reason `keys_unavailable` if the key set cannot be fetched: an unknown key
   * does not prove that the token is invalid.
   */
  find(kid: string): Promise<VerificationKey | undefined>
}

export interface RemoteKeySetOptions {
  /** Fetches the current key set. A rejected fetch is retried after `retryMs`. */
  fetch: () => Promise<readonly Jwk[]>
  /** Receives one warning for each key of the set that cannot be used. Default none. */
  logger?: Pick<Logger, 'warn'>
  /**
   * Minimum time between two fetches triggered by an unknown `kid`, in milliseconds. Default 5,000. Until then an
   * unknown `kid` counts as non-existent, so that a flood of invented kids causes no fetches.
   */
  minIntervalMs?: number
  /** Delay before the next attempt after a failed fetch, in milliseconds. Default 1,000. */
  retryMs?: number
  /**
   * Maximum age of the key set before it is fetched again, in milliseconds. Default 60,000. Known keys stay valid
   * during the fetch and while it fails; keys missing from the new set are dropped.
   */
  maxAgeMs?: number
  /** Monotonic clock in milliseconds. Default `performance.now`. */
  now?: () => number
}

export interface RemoteKeySet extends KeySource {
  /** Fetches the key set now; concurrent calls share one fetch. @throws the error of `fetch`. */
  refresh(): Promise<void>
  /** Whether at least one key was loaded. */
  readonly isLoaded: boolean
}

/**
 * Creates a key set that fetches itself when it is used: when a `kid` is unknown, and when the set is older than
 * `maxAgeMs`. A key that cannot be used (see `toVerificationKey`) is skipped with a warning; the others are used.
 */
export function createRemoteKeySet(options: RemoteKeySetOptions): RemoteKeySet {
  const { fetch, logger, minIntervalMs = 5_000, retryMs = 1_000, maxAgeMs = 60_000 } = options
  const { now = performance.now.bind(performance) } = options
  let keys: ReadonlyMap<string, VerificationKey> = new Map()
  let skipped: ReadonlySet<string> = new Set()
  let fetchedAt = Number.NEGATIVE_INFINITY
  let attemptedAt = Number.NEGATIVE_INFINITY
  let fetching: Promise<void> | undefined
  /** Error of the latest fetch. */
  let failure: unknown

  async function load(): Promise<void> {
    attemptedAt = now()
    try {
      replaceKeys(await fetch())
      fetchedAt = now()
      failure = undefined
    } catch (error) {
      failure = error
      throw error
    }
  }

  function replaceKeys(jwks: readonly Jwk[]): void {
    const next = new Map<string, VerificationKey>()
    const nextSkipped = new Set<string>()
    for (const jwk of jwks) {
      const problem = problemOf(jwk) ?? (next.has(jwk.kid) ? 'duplicate kid' : undefined)
      if (problem === undefined) {
        const key = toVerificationKey(jwk)
        const known = keys.get(key.kid)
        const isSame = known?.pem === key.pem && known.algorithm === key.algorithm
        next.set(key.kid, isSame ? known : key)
        continue
      }
      const entry = `${jwk.kid} ${problem}`
      nextSkipped.add(entry)
      if (!skipped.has(entry)) logger?.warn({ kid: jwk.kid, problem }, 'unusable key in the key set; skipping it')
    }
    keys = next
    skipped = nextSkipped
  }

  function refresh(): Promise<void> {
    fetching ??= load().finally(() => {
      fetching = undefined
    })
    return fetching
  }

  /** Starts or joins a fetch unless the interval forbids it. Never rejects: the error is kept in `failure`. */
  function refreshIf(isDue: boolean): Promise<void> | undefined {
    if (!isDue) return undefined
    const interval = failure === undefined ? minIntervalMs : retryMs
    const mayFetch = fetching !== undefined || now() - attemptedAt >= interval
    return mayFetch ? refresh().catch(() => {}) : undefined
  }

  const isOutdated = () => now() - fetchedAt > maxAgeMs

  return {
    refresh,
    get isLoaded() {
      return keys.size > 0
    },
    current(kid) {
      void refreshIf(isOutdated())
      return keys.get(kid)
    },
    async find(kid) {
      const known = keys.get(kid)
      const refreshed = refreshIf(known === undefined || isOutdated())
      if (known === undefined) await refreshed
      const found = known ?? keys.get(kid)
      if (found === undefined && (failure !== undefined || keys.size === 0)) {
        throw unavailable('The keys that verify access tokens cannot be fetched', {
          reason: 'keys_unavailable',
          cause: failure,
        })
      }
      return found
    },
  }
}

/**
 * Converts a JWK to a verification key. Supported are Ed25519, P-256 (ES256) and RSA (RS256) with 2,048 to 8,192 bits
 * and an exponent of at least 65,537.
 * @throws Error for other keys, for malformed keys, and if `use`, `key_ops` or `alg` does not match.
 */
export function toVerificationKey(jwk: Jwk): VerificationKey {
  const problem = problemOf(jwk)
  const algorithm = algorithmOf(jwk)
  if (problem !== undefined || algorithm === undefined) throw new Error(`Key ${jwk.kid} cannot be used: ${problem}`)
  const pem = publicKeyOf(jwk).export({ format: 'pem', type: 'spki' }).toString()
  return { kid: jwk.kid, algorithm, pem }
}

/** @returns the reason why a key cannot be used; undefined if it can. */
function problemOf(jwk: Jwk): string | undefined {
  if (jwk.kid === '') return 'kid is missing'
  if (jwk.use && jwk.use !== 'sig') return 'use is not "sig"'
  // RFC 7517 section 4.3. An empty list permits no operation.
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) {
    return 'key_ops does not contain "verify"'
  }
  const algorithm = algorithmOf(jwk)
  if (algorithm === undefined) return 'key type is not Ed25519, P-256 or RSA'
  if (jwk.alg && jwk.alg !== algorithm) return `alg is not ${algorithm}`
  try {
    const { modulusLength = 0, publicExponent = 0n } = publicKeyOf(jwk).asymmetricKeyDetails ?? {}
    const isWeak = modulusLength < 2048 || modulusLength > 8192 || publicExponent < 65_537n
    return algorithm === 'RS256' && isWeak
      ? 'RSA requires 2048 to 8192 bits and an exponent of at least 65537'
      : undefined
  } catch (error) {
    return `malformed key: ${(error as Error).message}`
  }
}

/** ES256 is P-256 only (RFC 7518 section 3.4); signatures of other curves can have the same length. */
function algorithmOf({ kty, crv }: Jwk): VerificationKey['algorithm'] | undefined {
  if (kty === 'OKP' && crv === 'Ed25519') return 'EdDSA'
  if (kty === 'EC' && crv === 'P-256') return 'ES256'
  return kty === 'RSA' ? 'RS256' : undefined
}

function publicKeyOf({ kty, crv = '', x = '', y = '', n = '', e = '' }: Jwk): KeyObject {
  const members = { OKP: { crv, x }, EC: { crv, x, y }, RSA: { n, e } }[kty]
  return createPublicKey({ key: { kty, ...members }, format: 'jwk' })
}
