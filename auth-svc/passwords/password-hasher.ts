/**
 * Passwords at rest: bcrypt over base64(HMAC-SHA-384(password, pepper)). bcrypt reads 72 bytes and stops at a NUL; the
 * HMAC's 64 characters of base64 have neither problem, and without the pepper a stolen table is of no use.
 */
import { createHmac, randomUUID } from 'node:crypto'
import type { BcryptThreads } from './bcrypt-threads.ts'
import type { BoundedQueue } from './bounded-queue.ts'

/** `bcrypt` is a plain hash from elsewhere; it is replaced when its owner signs in. */
export const CURRENT_SCHEME = 'bcrypt-hmac-sha384'
const PLAIN_SCHEME = 'bcrypt'

export interface StoredPassword {
  scheme: string
  hash: string
}

export interface PasswordHasher {
  hash(password: string, signal?: AbortSignal): Promise<StoredPassword>
  /**
   * @param stored undefined where there is no such account: the answer is then no, and takes as long.
   * @returns whether it matches, and whether what is stored is weaker than what `hash` makes.
   */
  verify(
    password: string,
    stored: StoredPassword | undefined,
    signal?: AbortSignal,
  ): Promise<{ matches: boolean; outdated: boolean }>
}

export interface PasswordHasherOptions {
  pepper: Uint8Array
  cost: number
  threads: BcryptThreads
  /** Of work for the threads: its concurrency is how many there come to be. */
  queue: BoundedQueue
}

export async function createPasswordHasher(options: PasswordHasherOptions): Promise<PasswordHasher> {
  const { pepper, cost, threads, queue } = options
  const prehash = (password: string) => createHmac('sha384', pepper).update(password, 'utf8').digest('base64')
  const nobody: StoredPassword = { scheme: CURRENT_SCHEME, hash: await threads.hash(prehash(randomUUID()), cost) }

  function inputOf(scheme: string, password: string): string {
    if (scheme === CURRENT_SCHEME) return prehash(password)
    if (scheme === PLAIN_SCHEME) return password
    throw new Error(`Unknown password scheme ${scheme}`)
  }

  return {
    hash: (password, signal) =>
      queue.run(async () => {
        return { scheme: CURRENT_SCHEME, hash: await threads.hash(prehash(password), cost) }
      }, signal),
    verify: (password, stored, signal) =>
      queue.run(async () => {
        const { scheme, hash } = stored ?? nobody
        const matches = await threads.verify(inputOf(scheme, password), hash)
        const outdated = scheme !== CURRENT_SCHEME || costOf(hash) < cost
        return { matches: matches && stored !== undefined, outdated }
      }, signal),
  }
}

/** Modular crypt format: `$2b$12$` and 53 characters of salt and hash. */
function costOf(hash: string): number {
  return Number(hash.split('$')[2])
}
