/** Where the tokens of a JSON text end, RFC 8259. */

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** The index of the quote that closes the string opened at `at`. */
export function endOfString(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && text.charCodeAt(end) !== QUOTE) end += text.charCodeAt(end) === BACKSLASH ? 2 : 1
  return end
}

/** The index behind the number that begins at `at`. */
export function endOfNumber(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && IN_NUMBER.has(text.charCodeAt(end))) end++
  return end
}

const IN_NUMBER: ReadonlySet<number> = new Set(Array.from('0123456789+-.eE', char => char.charCodeAt(0)))
