/** Scans JSON text (RFC 8259) without parsing it: where tokens end, how deep it nests, which names it repeats. */

const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Returns the index of the quote that closes the string. @param at index of the opening quote. */
export function endOfString(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && text.charCodeAt(end) !== QUOTE) end += text.charCodeAt(end) === BACKSLASH ? 2 : 1
  return end
}

/** Returns the index after the number. @param at index of its first character. */
export function endOfNumber(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && IN_NUMBER.has(text.charCodeAt(end))) end++
  return end
}

const IN_NUMBER: ReadonlySet<number> = new Set(Array.from('0123456789+-.eE', char => char.charCodeAt(0)))

/** Counts the levels of nesting and the names of all objects. The text need not be valid JSON. */
export function measure(text: string): { depth: number; names: number } {
  let level = 0
  let depth = 0
  let names = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === QUOTE) at = endOfString(text, at)
    else if (char === COLON) names++
    else if (char === OPEN_OBJECT || char === OPEN_ARRAY) depth = Math.max(depth, ++level)
    else if (char === CLOSE_OBJECT || char === CLOSE_ARRAY) level--
  }
  return { depth, names }
}

/** Returns the first name that occurs twice in one object, without escapes. @param text valid JSON. */
export function findDuplicateName(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = []
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '{') open.push(new Set())
    else if (char === '[') open.push(undefined)
    else if (char === '}' || char === ']') open.pop()
    else if (char === '"') {
      const end = endOfString(text, at)
      const isName = text
        .slice(end + 1)
        .trimStart()
        .startsWith(':')
      if (isName) {
        const name: string = JSON.parse(text.slice(at, end + 1))
        const names = open.at(-1)
        if (names?.has(name)) return name
        names?.add(name)
      }
      at = end
    }
  }
  return undefined
}
