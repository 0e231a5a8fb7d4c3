/** Worker thread of password-strength.ts: zxcvbn's dictionaries take 100 MB and 0.5 s to load. */
import { parentPort } from 'node:worker_threads'
import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import { adjacencyGraphs, dictionary as common } from '@zxcvbn-ts/language-common'
import { dictionary as english, translations } from '@zxcvbn-ts/language-en'

/** Message to the worker thread, which sends one result for it. */
export interface StrengthRequest {
  password: string
  /** Words about the user, such as name and e-mail address, that count as easy to guess. */
  userInputs: string[]
}

/** Message from the worker thread. */
export interface StrengthResult {
  /** Why the password is easy to guess; undefined if it is strong enough. */
  weakness: string | undefined
}

// Score of zxcvbn, 0 to 4: 3 withstands 10^8 guesses, which with this hash take a lifetime.
const MIN_SCORE = 3

// The time grows steeply with the length: 1,800 ms for 256 random characters, at most 71 ms for 32 with 20
// substitutions. A password is at least as hard to guess as each of its parts, so one strong part is enough.
const PART_LENGTH = 32
const MAX_SUBSTITUTIONS = 20

const zxcvbn = new ZxcvbnFactory({
  dictionary: { ...common, ...english },
  graphs: adjacencyGraphs,
  translations,
  maxLength: PART_LENGTH,
  l33tMaxSubstitutions: MAX_SUBSTITUTIONS,
})

function findWeakness(password: string, userInputs: string[]): string | undefined {
  let weakness: string | undefined
  for (const part of splitIntoParts(removeLongInputs(userInputs, password))) {
    const { score, feedback } = zxcvbn.check(part, userInputs)
    if (score >= MIN_SCORE) return undefined
    weakness ??= [feedback.warning, ...feedback.suggestions].filter(text => text !== null).join(' ')
  }
  return weakness
}

/** Removes user inputs that are longer than a part: zxcvbn could not find them, and the rest must be strong. */
function removeLongInputs(userInputs: string[], password: string): string {
  return userInputs
    .filter(text => text.length > PART_LENGTH)
    .reduce((rest, text) => rest.replaceAll(new RegExp(RegExp.escape(text), 'giu'), ''), password)
}

/** Yields at least one part, also for an empty password. */
function* splitIntoParts(password: string): Iterable<string> {
  yield password.slice(0, PART_LENGTH)
  for (let at = PART_LENGTH; at < password.length; at += PART_LENGTH) yield password.slice(at, at + PART_LENGTH)
}

parentPort?.on('message', ({ password, userInputs }: StrengthRequest) => {
  const result: StrengthResult = { weakness: findWeakness(password, userInputs) }
  parentPort?.postMessage(result)
})
