/** Rewrites RE2 patterns to the syntax that ECMA-262, Python, RE2 and Rust share, for JSON Schema. */
import { portablePattern } from '../portable-pattern.ts'

const TOKEN = /\\[pP]\{[^}]*\}|\\x\{[0-9A-Fa-f]+\}|\\[\s\S]|\(\?P?<[^>]*>|\(\?:|\(\?|\[\^?\]?|[\s\S]/gu

/** In RE2 these classes contain ASCII only, in ECMA-262 also other white space. */
const CLASSES: Record<string, string> = { d: '0-9', w: '0-9A-Za-z_', s: '\\t\\n\\f\\r ' }

/**
 * @param pattern valid in RE2 (https://github.com/google/re2/wiki/Syntax).
 * @returns an equivalent pattern; undefined if there is none, such as for flags and POSIX classes.
 */
export function portableRe2(pattern: string): string | undefined {
  let isInClass = false
  let result = ''
  for (const [token] of pattern.matchAll(TOKEN)) {
    const translated = translate(token, isInClass)
    if (translated === undefined) return undefined
    if (token.startsWith('[') && !isInClass) isInClass = true
    else if (token === ']') isInClass = false
    result += translated
  }
  const portable = portablePattern(result)
  return portable !== undefined && isPattern(portable) ? portable : undefined
}

function translate(token: string, isInClass: boolean): string | undefined {
  if (isInClass)
    return token.startsWith('[') ? inClassBracket(token) : token.startsWith('\\') ? translateEscape(token, true) : token
  if (token.startsWith('[')) return token.endsWith(']') ? `${token.slice(0, -1)}\\]` : token
  if (token === '.') return '[^\\n]'
  if (token.startsWith('(?')) return token === '(?' ? undefined : '(?:'
  return token.startsWith('\\') ? translateEscape(token, false) : token
}

/** A bracket inside of a class is a literal. `[:alpha:]` is not portable, so neither is `[` before others. */
function inClassBracket(token: string): string | undefined {
  return token === '[' ? undefined : `\\${token.slice(0, -1)}\\]`
}

function translateEscape(token: string, isInClass: boolean): string | undefined {
  const name = token[1] ?? ''
  const ranges = CLASSES[name]
  if (ranges !== undefined) return isInClass ? ranges : `[${ranges}]`
  const excluded = CLASSES[name.toLowerCase()]
  if (excluded !== undefined) return isInClass ? undefined : `[^${excluded}]`
  if (token.startsWith('\\x{')) return `\\u${token.slice(2)}`
  if (/[pP]/.test(name)) return /\{[A-Z][a-z]?\}/.test(token) ? token : undefined
  if (name === 'A') return '^'
  if (name === 'z') return '$'
  if (name === 'a') return '\\x07'
  // Words, octets and quotations have no counterpart. Back references do not exist in RE2: these are octal.
  return /[bBCQE0-9]/.test(name) ? undefined : token
}

function isPattern(pattern: string): boolean {
  try {
    return new RegExp(pattern, 'u') instanceof RegExp
  } catch {
    return false
  }
}
