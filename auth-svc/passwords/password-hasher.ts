/**
 * Password hashes: bcrypt(base64(HMAC-SHA-384(password, pepper))). bcrypt alone reads only 72 bytes and stops at a NUL;
 * the 64 base64 characters of the HMAC avoid both. Without the pepper, stolen hashes cannot be cracked.
 */
import { createHmac, randomUUID } from 'node:crypto'
import type { BcryptPool } from './bcrypt-pool.ts'
import type { BoundedQueue } from './bounded-queue.ts'

/** Scheme of new hashes. */
export const CURRENT_SCHEME = 'bcrypt-hmac-sha384'

/** Scheme of imported hashes: bcrypt without HMAC. A sign-in replaces them. */
const PLAIN_SCHEME = 'bcrypt'

export interface StoredPassword {
  /** `bcrypt-hmac-sha384` or `bcrypt`. */
  scheme: string
  /** Modular crypt format, 60 characters. */
  hash: string
}

/** Every operation waits in the queue, then occupies a core for about 160 ms (cost 12). */
export interface PasswordHasher {
  /**
   * Hashes a password with the current scheme and cost. All bytes of its UTF-8 encoding are significant; the contract
   * limits it to 256 characters.
   * @param signal cancels the operation while it waits.
   * @throws StatusError UNAVAILABLE if the queue is full (`overloaded`) or the thread crashes; CANCELLED.
   */
  hash(password: string, signal?: AbortSignal): Promise<StoredPassword>
  /**
   * @param stored undefined if there is no account: the result is false after the same time, so that the response time
   *   does not reveal which accounts exist.
   * @returns `outdated`: whether `hash` would use another scheme or a higher cost.
   * @throws StatusError as `hash` does; Error if the scheme is unknown.
   */
  verify(
    password: string,
    stored: StoredPassword | undefined,
    signal?: AbortSignal,
  ): Promise<{ matches: boolean; outdated: boolean }>
}

export interface PasswordHasherOptions {
  pepper: Uint8Array
  /** bcrypt cost of new hashes. */
  cost: number
  bcrypt: BcryptPool
  /** Bounds the operations; its concurrency is the maximum number of bcrypt threads. */
  queue: BoundedQueue
}

/** Hashes a random password once, for the verification of passwords without an account. */
export async function createPasswordHasher(options: PasswordHasherOptions): Promise<PasswordHasher> {
  const { pepper, cost, bcrypt, queue } = options
  const prehash = (password: string) => createHmac('sha384', pepper).update(password, 'utf8').digest('base64')
  const dummy: StoredPassword = { scheme: CURRENT_SCHEME, hash: await bcrypt.hash(prehash(randomUUID()), cost) }

  function toBcryptInput(scheme: string, password: string): string {
    if (scheme === CURRENT_SCHEME) return prehash(password)
    if (scheme === PLAIN_SCHEME) return password
    throw new Error(`Unknown password scheme ${scheme}`)
  }

  return {
    hash: (password, signal) =>
      queue.run(async () => {
        return { scheme: CURRENT_SCHEME, hash: await bcrypt.hash(prehash(password), cost) }
      }, signal),
    verify: (password, stored, signal) =>
      queue.run(async () => {
        const { scheme, hash } = stored ?? dummy
        const matches = await bcrypt.verify(toBcryptInput(scheme, password), hash)
        const outdated = scheme !== CURRENT_SCHEME || parseCost(hash) < cost
        return { matches: matches && stored !== undefined, outdated }
      }, signal),
  }
}

/** Format: `$2b$12$`, then 53 characters of salt and hash. */
function parseCost(hash: string): number {
  return Number(hash.split('$')[2])
}
