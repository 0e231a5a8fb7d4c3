/**
 * Estimates how easy a password is to guess, with zxcvbn. There are no composition rules, because they lead to weaker
 * passwords (NIST SP 800-63B-4 section 3.1.1.2).
 */
import { Worker } from 'node:worker_threads'
import { strengthCheckFailed } from '../errors.ts'
import { createBoundedQueue } from './bounded-queue.ts'
import type { StrengthRequest, StrengthResult } from './password-strength-worker.ts'

export interface PasswordStrength {
  /**
   * Checks a password; takes up to 100 ms of another core.
   * @param owner a password made of this e-mail address and name is weak.
   * @returns the weakness as English sentences for the user; undefined if the password is strong enough.
   * @throws StatusError UNAVAILABLE: `overloaded` if 50 passwords wait already; `unavailable` if the thread crashes or
   *   takes longer than 10 s. The next check starts a new thread.
   */
  findWeakness(password: string, owner: { email: string; name: string }): Promise<string | undefined>
  /** Pending checks are rejected. */
  close(): Promise<void>
}

// At most 100 ms each.
const MAX_WAITING = 50

export interface PasswordStrengthOptions {
  /** Module of the worker thread: receives `StrengthRequest`, sends `StrengthResult`. */
  module?: URL
  /** Maximum time of a check, including the start of the thread, in milliseconds. Default 10,000. */
  timeoutMs?: number
}

/** Starts the worker thread; `close` ends it. */
export function createPasswordStrength(options: PasswordStrengthOptions = {}): PasswordStrength {
  const { module = new URL('password-strength-worker.ts', import.meta.url), timeoutMs = 10_000 } = options
  const queue = createBoundedQueue({ concurrency: 1, maxWaiting: MAX_WAITING })
  let thread = startThread(module)

  async function check(request: StrengthRequest): Promise<string | undefined> {
    if (thread.hasEnded) thread = startThread(module)
    return thread.check(request, timeoutMs)
  }

  return {
    findWeakness: (password, { email, name }) =>
      queue.run(() => check({ password, userInputs: listUserInputs(email, name) })),
    async close() {
      await thread.end()
    },
  }
}

interface Thread {
  /** Whether the thread crashed, was ended, or exceeded the time limit. */
  readonly hasEnded: boolean
  /** Runs one check at a time. */
  check(request: StrengthRequest, timeoutMs: number): Promise<string | undefined>
  end(): Promise<unknown>
}

function startThread(module: URL): Thread {
  const worker = new Worker(module)
  let hasEnded = false
  let current: PromiseWithResolvers<string | undefined> | undefined
  worker.on('message', ({ weakness }: StrengthResult) => current?.resolve(weakness))
  // A crash emits `error` and `exit`; rejecting twice has no effect.
  const fail = (cause: unknown) => {
    hasEnded = true
    current?.reject(strengthCheckFailed(cause))
  }
  worker.on('error', fail)
  worker.on('exit', code => fail(new Error(`The password strength thread exited with code ${code}`)))

  return {
    get hasEnded() {
      return hasEnded
    },
    async check(request, timeoutMs) {
      current = Promise.withResolvers()
      const timer = setTimeout(() => {
        fail(new Error(`The password strength thread did not respond within ${timeoutMs} ms`))
        void worker.terminate()
      }, timeoutMs)
      worker.postMessage(request)
      try {
        return await current.promise
      } finally {
        clearTimeout(timer)
      }
    },
    end: () => worker.terminate(),
  }
}

/** Lists e-mail address, name, local part, and the words of at least 3 characters in them. */
function listUserInputs(email: string, name: string): string[] {
  const words = [email, name].flatMap(text => text.split(/[^\p{L}\p{N}]+/u)).filter(word => word.length > 2)
  return [email, name, email.slice(0, email.lastIndexOf('@')), ...words].filter(text => text !== '')
}
