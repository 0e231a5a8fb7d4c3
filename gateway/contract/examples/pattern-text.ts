/**
 * Finds a text that matches a pattern in the syntax of `portablePattern`:
 *
 *   alternatives = sequence *( "|" sequence )
 *   sequence     = *( atom [ "*" / "+" / "?" / "{" min [ "," [ max ] ] "}" ] )
 *   atom         = "(" [ "?:" ] alternatives ")" / "[" class "]" / "\" character / "." / "^" / "$" / character
 */

/** Characters to choose from for a class, the likeliest first. */
const CHARACTERS = [...'example0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZbcdfghijknoqrstuvwyz_./:@+ #!']

/** Maximum number of atoms that are read, with repetitions. A pattern may repeat repetitions. */
const MAX_ATOMS = 2000

/** The pattern has other syntax, a class without any of CHARACTERS, or too many repetitions. */
class Unknown extends Error {}

/**
 * @param minimum of characters that repetitions without an upper bound produce.
 * @returns a text, which the caller checks against the pattern; undefined if the pattern has other syntax, or more than 2000
 * atoms with their repetitions.
 */
export function textOfPattern(pattern: string, minimum: number): string | undefined {
  const tokens = pattern.match(/\[\^?\]?(?:\\.|[^\]\\])*\]|\\x[0-9A-Fa-f]{2}|\\.|\{\d+(?:,\d*)?\}|\(\?:|[\s\S]/gu) ?? []
  let at = 0
  let chosen = 0
  let atoms = 0
  try {
    const text = alternatives()
    return at === tokens.length ? text : undefined
  } catch (error) {
    if (error instanceof Unknown) return undefined
    throw error
  }

  function alternatives(): string {
    const first = sequence()
    while (tokens[at] === '|') {
      at++
      sequence()
    }
    return first
  }

  function sequence(): string {
    let text = ''
    while (at < tokens.length && tokens[at] !== '|' && tokens[at] !== ')') text += repeated()
    return text
  }

  function repeated(): string {
    const start = at
    let text = atom()
    const times = quantifier()
    if (times === 0) return ''
    for (let count = 1; count < times; count++) {
      const end = at
      at = start
      text += atom()
      at = end
    }
    return text
  }

  function quantifier(): number {
    const token = tokens[at] ?? ''
    const [, min, hasMax] = /^\{(\d+)(,\d+)?/.exec(token) ?? []
    if (!['*', '+', '?'].includes(token) && min === undefined) return 1
    at++
    if (tokens[at] === '?') at++
    if (min !== undefined) return hasMax || !token.includes(',') ? Number(min) : Math.max(Number(min), minimum)
    return token === '?' ? Math.min(1, minimum) : token === '+' ? Math.max(1, minimum) : minimum
  }

  function atom(): string {
    if (++atoms > MAX_ATOMS) throw new Unknown()
    const token = tokens[at++] ?? ''
    if (token === '(' || token === '(?:') {
      if (tokens[at] === '?') throw new Unknown()
      const text = alternatives()
      if (tokens[at++] !== ')') throw new Unknown()
      return text
    }
    if (token === '^' || token === '$') return ''
    return token.length === 1 && token !== '.' ? token : member(token)
  }

  /** Returns a character of a class. Successive ones differ, so that the text looks like a word. */
  function member(set: string): string {
    const pattern = new RegExp(`^${set}$`, 'u')
    const members = CHARACTERS.filter(character => pattern.test(character))
    const character = members[chosen++ % Math.max(1, Math.min(members.length, 7))]
    if (character === undefined && set.startsWith('\\x')) return String.fromCharCode(Number.parseInt(set.slice(2), 16))
    if (character === undefined && set.length === 2) return set.slice(1)
    if (character === undefined) throw new Unknown()
    return character
  }
}
