/** The thread of password-strength.ts: the dictionaries take 100 MB and half a second to load, and stay out of its way. */
import { parentPort } from 'node:worker_threads'
import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary as common } from '@zxcvbn-ts/language-common'
import { dictionary as english, translations } from '@zxcvbn-ts/language-en'

export interface StrengthQuestion {
  id: number
  password: string
  /** What an attacker who knows the user tries first. */
  known: string[]
}

export interface StrengthAnswer {
  id: number
  /** What makes it easy to guess; undefined when it is not. */
  complaint: string | undefined
}

// Out of 4: withstands 10^8 guesses, so a slow hash makes them take a lifetime.
const LEAST_SCORE = 3

// The time taken grows steeply with the length: 256 random characters 1,800 ms, 32 with so many substitutions 71 ms at
// the worst. A password is at least as hard to guess as any part of it, so one strong part is enough.
const PART_LENGTH = 32
const MAX_SUBSTITUTIONS = 20

const zxcvbn = new ZxcvbnFactory({
  dictionary: { ...common, ...english },
  graphs: adjacencyGraphs,
  translations,
  maxLength: PART_LENGTH,
  l33tMaxSubstitutions: MAX_SUBSTITUTIONS,
})

function complaintAbout(password: string, known: string[]): string | undefined {
  let complaint: string | undefined
  for (let start = 0; start < password.length; start += PART_LENGTH) {
    const { score, feedback } = zxcvbn.check(password.slice(start, start + PART_LENGTH), known)
    if (score >= LEAST_SCORE) return undefined
    complaint ??= [feedback.warning, ...feedback.suggestions].filter(text => text !== null).join(' ')
  }
  return complaint
}

parentPort?.on('message', ({ id, password, known }: StrengthQuestion) => {
  const answer: StrengthAnswer = { id, complaint: complaintAbout(password, known) }
  parentPort?.postMessage(answer)
})
