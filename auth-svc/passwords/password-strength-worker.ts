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
  for (const part of partsOf(withoutLong(known, password))) {
    const { score, feedback } = zxcvbn.check(part, known)
    if (score >= LEAST_SCORE) return undefined
    complaint ??= [feedback.warning, ...feedback.suggestions].filter(text => text !== null).join(' ')
  }
  return complaint
}

/** What is known and longer than a part would not be found in one: it is taken out, and the rest has to be strong. */
function withoutLong(known: string[], password: string): string {
  return known
    .filter(text => text.length > PART_LENGTH)
    .reduce((rest, text) => rest.replaceAll(new RegExp(RegExp.escape(text), 'giu'), ''), password)
}

function* partsOf(password: string): Iterable<string> {
  yield password.slice(0, PART_LENGTH)
  for (let at = PART_LENGTH; at < password.length; at += PART_LENGTH) yield password.slice(at, at + PART_LENGTH)
}

parentPort?.on('message', ({ id, password, known }: StrengthQuestion) => {
  const answer: StrengthAnswer = { id, complaint: complaintAbout(password, known) }
  parentPort?.postMessage(answer)
})
