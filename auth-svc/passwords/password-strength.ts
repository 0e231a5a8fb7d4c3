/**
 * Estimates how easy a password is to guess, with zxcvbn. There are no composition rules, because they lead to weaker
 * passwords (NIST SP 800-63B-4 section 3.1.1.2).
 */
import { Worker } from 'node:worker_threads'
import { createBoundedQueue } from './bounded-queue.ts'
import type { StrengthRequest, StrengthResult } from './password-strength-worker.ts'

export interface PasswordStrength {
  /**
   * Checks a password; takes up to 100 ms of another core.
   * @param owner a password made of this e-mail address and name is weak.
   * @returns the weakness as English sentences for the user; undefined if the password is strong enough.
   * @throws StatusError UNAVAILABLE `overloaded` if 50 passwords wait already.
   */
  findWeakness(password: string, owner: { email: string; name: string }): Promise<string | undefined>
  /** Pending checks never resolve. */
  close(): Promise<void>
}

// At most 100 ms each.
const MAX_WAITING = 50

/** Starts the worker thread; `close` ends it. */
export function createPasswordStrength(): PasswordStrength {
  const worker = new Worker(new URL('password-strength-worker.ts', import.meta.url))
  const queue = createBoundedQueue({ concurrency: 1, maxWaiting: MAX_WAITING })
  const pending = new Map<number, (weakness: string | undefined) => void>()
  let lastId = 0
  worker.on('message', ({ id, weakness }: StrengthResult) => {
    pending.get(id)?.(weakness)
    pending.delete(id)
  })

  return {
    findWeakness: (password, { email, name }) =>
      queue.run(() => {
        return new Promise(resolve => {
          lastId += 1
          pending.set(lastId, resolve)
          const request: StrengthRequest = { id: lastId, password, userInputs: listUserInputs(email, name) }
          worker.postMessage(request)
        })
      }),
    async close() {
      await worker.terminate()
    },
  }
}

/** Lists e-mail address, name, local part, and the words of at least 3 characters in them. */
function listUserInputs(email: string, name: string): string[] {
  const words = [email, name].flatMap(text => text.split(/[^\p{L}\p{N}]+/u)).filter(word => word.length > 2)
  return [email, name, email.slice(0, email.lastIndexOf('@')), ...words].filter(text => text !== '')
}
