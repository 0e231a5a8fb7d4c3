import type { KeySource, VerificationKey } from './key-set.ts'
import type { Principal } from './principal.ts'

export interface VerifiedToken {
  /** The key that verified the token. */
  readonly key: VerificationKey
  readonly principal: Principal
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

export interface TokenCache {
  /** @returns undefined if the token is not cached or has expired, or if its key was withdrawn or replaced. */
  get(token: string): Principal | undefined
  put(token: string, verified: VerifiedToken): void
}

export interface TokenCacheOptions {
  /** The current key set. A cached token is dropped when its key leaves the set. */
  keys: Pick<KeySource, 'current'>
  /** Maximum number of entries. A session uses one. */
  capacity: number
  /** Milliseconds since the epoch. Default `Date.now`. */
  now?: () => number
}

/**
 * Caches verified tokens, so that each signature is verified once and not on each request: a hit takes 0.2 us, an
 * Ed25519 verification 45 to 65 us. The key is the whole token; a part of it would accept a token with another
 * signature.
 *
 * Two generations bound the size. When the recent one is full it becomes the previous one, and entries of the former
 * previous generation that were not used since are dropped. Invalid tokens are not cached, so a flood of them evicts
 * nothing.
 */
export function createTokenCache(options: TokenCacheOptions): TokenCache {
  const { keys, capacity, now = Date.now } = options
  const generationSize = Math.max(1, Math.floor(capacity / 2))
  let recent = new Map<string, VerifiedToken>()
  let previous = new Map<string, VerifiedToken>()

  function put(token: string, verified: VerifiedToken): void {
    if (recent.size >= generationSize) {
      previous = recent
      recent = new Map()
    }
    recent.set(token, verified)
  }

  return {
    get(token) {
      const inRecent = recent.get(token)
      const verified = inRecent ?? previous.get(token)
      if (verified === undefined) return undefined
      if (verified.expiresAt <= now() || keys.current(verified.key.kid) !== verified.key) {
        recent.delete(token)
        previous.delete(token)
        return undefined
      }
      if (inRecent === undefined) put(token, verified)
      return verified.principal
    },
    put,
  }
}
