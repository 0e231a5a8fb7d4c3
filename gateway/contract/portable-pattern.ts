/**
 * Rewrites regular expressions of the contract (ECMA-262, flag `v`) to the syntax that ECMA-262, Python, RE2 and Rust
 * share, for JSON Schema: no property escapes, no `\0`, classes such as `\d` as ranges (in Python they match all of
 * Unicode), no named groups.
 */

/** The regular expression has syntax without a counterpart in other dialects. */
class NotPortable extends Error {}

/**
 * @param pattern a valid regular expression.
 * @returns an equivalent one; undefined if there is none, such as for set operations and back references.
 */
export function portablePattern(pattern: string): string | undefined {
  try {
    return rewrite(pattern)
  } catch (error) {
    if (error instanceof NotPortable) return undefined
    throw error
  }
}

const TOKEN =
  /\\[pP]\{[^}]*\}|\\u\{[0-9A-Fa-f]+\}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\c[A-Za-z]|\\k<|\\q\{|\\.|\(\?<(?![=!])[^>]*>|\(\?<?[=!]|\(\?[ims-]+:|&&|--|[\s\S]/gu

function rewrite(pattern: string): string {
  let isInClass = false
  let result = ''
  for (const [token] of pattern.matchAll(TOKEN)) {
    if (isInClass && (token === '[' || token === '&&' || token === '--')) throw new NotPortable()
    if (token === '[') isInClass = true
    else if (token === ']') isInClass = false
    result += translate(token, isInClass)
  }
  return result
}

function translate(token: string, isInClass: boolean): string {
  if (token.startsWith('(?<') && !/^\(\?<[=!]/.test(token)) return '(?:'
  // RE2 and Rust have no assertions, and Python allows look-behind of fixed width only. Modifiers are new everywhere.
  if (token.startsWith('(?')) throw new NotPortable()
  // `.` excludes U+2028 and others in ECMA-262 only.
  if (token === '.' && !isInClass) return '[^\\n\\r\u2028\u2029]'
  if (!token.startsWith('\\')) return token
  const ranges = rangesOf(token)
  if (ranges !== undefined) return isInClass ? ranges : `[${ranges}]`
  const escaped = token.slice(1)
  if (/^[kq1-9bB]/.test(escaped)) throw new NotPortable()
  if (escaped === '0') return '\\x00'
  if (/^c[A-Za-z]$/.test(escaped)) return escapeOf(escaped.charCodeAt(1) % 32)
  const code = /^[ux]\{?([0-9A-Fa-f]+)\}?$/.exec(escaped)?.[1]
  if (code !== undefined) return escapeOf(Number.parseInt(code, 16))
  // An escaped punctuator. Dialects differ in which may be escaped, but all allow these.
  return /^[\w\\^$.*+?()[\]{}|-]$/.test(escaped) ? token : escapeOf(escaped.codePointAt(0) ?? 0)
}

const cache = new Map<string, string>()

/** Returns the ranges of a class escape without brackets; undefined for other tokens. */
function rangesOf(token: string): string | undefined {
  if (!/^\\(?:[pP]\{|[dDwWsS]$)/.test(token)) return undefined
  let ranges = cache.get(token)
  if (ranges === undefined) {
    ranges = enumerate(token)
    cache.set(token, ranges)
  }
  return ranges
}

function enumerate(token: string): string {
  let run: RegExp
  try {
    // The flag `u` rejects properties of strings, such as RGI_Emoji, which match several code points.
    run = new RegExp(`${token}+`, 'gu')
  } catch {
    throw new NotPortable()
  }
  let ranges = ''
  // Without surrogates, which are not characters in the other dialects.
  for (const block of [characters(0, 0xd7ff), characters(0xe000, 0xffff), characters(0x10000, 0x10ffff)]) {
    for (const [match] of block.matchAll(run)) {
      const first = match.codePointAt(0) ?? 0
      const last = match.codePointAt(match.length - (first > 0xffff ? 2 : 1)) ?? 0
      ranges += escapeOf(first) + (last > first ? `-${escapeOf(last)}` : '')
    }
  }
  if (ranges === '') throw new NotPortable()
  return ranges
}

function characters(first: number, last: number): string {
  const units: number[] = []
  for (let code = first; code <= last; code++) {
    if (code < 0x10000) units.push(code)
    else units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + (code % 0x400))
  }
  return Buffer.from(Uint16Array.from(units).buffer).toString('utf16le')
}

/** Returns a character so that it is literal inside and outside of a class. Only `\xHH` is an escape everywhere. */
function escapeOf(code: number): string {
  if (code >= 0xd800 && code <= 0xdfff) throw new NotPortable()
  const character = String.fromCodePoint(code)
  return code > 0xff || /[A-Za-z0-9_/]/.test(character) ? character : `\\x${code.toString(16).padStart(2, '0')}`
}
