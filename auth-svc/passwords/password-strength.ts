/**
 * How hard a password is to guess, as zxcvbn estimates it. No rules of composition: they make passwords worse
 * (NIST SP 800-63B-4 section 3.1.1.2).
 */
import { Worker } from 'node:worker_threads'
import { createBoundedQueue } from './bounded-queue.ts'
import type { StrengthAnswer, StrengthQuestion } from './password-strength-worker.ts'

export interface PasswordStrength {
  /**
   * @param owner whose e-mail address and name do not count as hard to guess.
   * @returns what makes the password easy to guess, as sentences; undefined when it is strong enough.
   */
  complaintAbout(password: string, owner: { email: string; name: string }): Promise<string | undefined>
  close(): Promise<void>
}

// A tenth of a second each at the worst.
const MAX_WAITING = 50

export function createPasswordStrength(): PasswordStrength {
  const worker = new Worker(new URL('password-strength-worker.ts', import.meta.url))
  const queue = createBoundedQueue({ concurrency: 1, maxWaiting: MAX_WAITING })
  const asked = new Map<number, (complaint: string | undefined) => void>()
  let lastId = 0
  worker.on('message', ({ id, complaint }: StrengthAnswer) => {
    asked.get(id)?.(complaint)
    asked.delete(id)
  })

  return {
    complaintAbout: (password, { email, name }) =>
      queue.run(() => {
        return new Promise(resolve => {
          lastId += 1
          asked.set(lastId, resolve)
          const question: StrengthQuestion = { id: lastId, password, known: partsOf(email, name) }
          worker.postMessage(question)
        })
      }),
    async close() {
      await worker.terminate()
    },
  }
}

/** The address and the name, and the words in them. */
function partsOf(email: string, name: string): string[] {
  const words = [email, name].flatMap(text => text.split(/[^\p{L}\p{N}]+/u)).filter(word => word.length > 2)
  return [email, name, email.slice(0, email.lastIndexOf('@')), ...words].filter(text => text !== '')
}
