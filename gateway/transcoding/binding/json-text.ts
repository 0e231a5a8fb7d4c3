/**
 * JSON text as a request body: what JSON.parse takes, in valid UTF-8 (RFC 8259 section 8.1), no deeper than a limit, and
 * without a name that stands twice in one object, of which JSON.parse would silently keep the last. Numbers that
 * JSON.parse silently changes are noted.
 */
import type { JsonValue } from '@bufbuild/protobuf'
import { invalidArgument } from '#runtime/status.ts'
import { endOfString } from './json-scanner.ts'
import { findLossyNumbers, type LossyNumbers } from './lossy-numbers.ts'

/** Deeper than any message we know; a parser that recurses is safe far beyond it. */
export const MAX_JSON_DEPTH = 64

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * @param changed takes what a double does not hold; whether that matters, the field tells.
 * @throws StatusError INVALID_ARGUMENT that says what is wrong with the text.
 */
export function parseJson(bytes: Uint8Array, changed: LossyNumbers): JsonValue {
  const text = decode(bytes)
  const { depth, names } = measure(text)
  if (depth > MAX_JSON_DEPTH) throw malformed(`is nested deeper than ${MAX_JSON_DEPTH} levels`)
  let value: JsonValue
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw malformed(`is not valid JSON: ${(error as SyntaxError).message}`)
  }
  // As many names in the value as in the text: none was given twice.
  if (countNames(value) !== names) throw duplicate(text)
  findLossyNumbers(text, value, changed)
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw malformed('is not valid UTF-8')
  }
}

const QUOTE = 0x22
const COLON = 0x3a

function measure(text: string): { depth: number; names: number } {
  let level = 0
  let depth = 0
  let names = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === QUOTE) at = endOfString(text, at)
    else if (char === COLON) names++
    else if (char === 0x7b || char === 0x5b) depth = Math.max(depth, ++level)
    else if (char === 0x7d || char === 0x5d) level--
  }
  return { depth, names }
}

function countNames(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 0
  const isList = Array.isArray(value)
  const children = isList ? value : Object.values(value)
  let names = isList ? 0 : children.length
  for (const child of children) if (typeof child === 'object') names += countNames(child)
  return names
}

/** The text is valid JSON and some object has a name twice: finds it, to name it. */
function duplicate(text: string): Error {
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
      const name: string = isName ? JSON.parse(text.slice(at, end + 1)) : ''
      const names = open.at(-1)
      if (isName && names?.has(name))
        return invalidArgument([{ field: name, description: 'is given twice in the body' }])
      if (isName) names?.add(name)
      at = end
    }
  }
  return malformed('gives a name twice')
}

function malformed(description: string): Error {
  return invalidArgument([{ field: 'body', description }])
}
