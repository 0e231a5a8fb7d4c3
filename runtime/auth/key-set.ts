/** The public keys that tokens are verified with: those of auth-svc, fetched and kept. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import type { Logger } from '../observability/logger.ts'
import { unavailable } from '../status.ts'

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
  const { fetch, logger, minIntervalMs = 5_000, retryMs = 1_000, maxAgeMs = 60_000 } = options
  // A clock that is not set: after a step back keys would be neither forgotten nor found.
  const { now = performance.now.bind(performance) } = options
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
