/**
 * Parses JSON text of request bodies more strictly than JSON.parse: only valid UTF-8 (RFC 8259 section 8.1), bounded
 * nesting, no duplicate names (JSON.parse silently keeps the last). It also reports numbers that JSON.parse changes.
 */
import type { JsonValue } from '@bufbuild/protobuf'
import { invalidArgument, type StatusError } from '#runtime/status.ts'
import { findDuplicateName, measure } from './json-scanner.ts'
import { findLossyNumbers, type LossyNumbers } from './lossy-numbers.ts'

/** Maximum nesting of objects and arrays in a body. Deeper than any known message, safe for recursive parsers. */
export const MAX_JSON_DEPTH = 64

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * @param lossy receives the numbers that a double cannot represent. Whether that is an error depends on their field.
 * @throws StatusError INVALID_ARGUMENT that names the duplicate name, or `body` for other errors.
 */
export function parseJson(bytes: Uint8Array, lossy: LossyNumbers): JsonValue {
  const text = decode(bytes)
  const { depth, names } = measure(text)
  if (depth > MAX_JSON_DEPTH) throw malformed(`is nested deeper than ${MAX_JSON_DEPTH} levels`)
  let value: JsonValue
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw malformed(`is not valid JSON: ${(error as SyntaxError).message}`)
  }
  // JSON.parse drops a duplicate name, so the counts differ.
  if (countNames(value) !== names) throw duplicateName(text)
  findLossyNumbers(text, value, lossy)
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw malformed('is not valid UTF-8')
  }
}

function countNames(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 0
  const isList = Array.isArray(value)
  const children = isList ? value : Object.values(value)
  let names = isList ? 0 : children.length
  for (const child of children) if (typeof child === 'object') names += countNames(child)
  return names
}

function duplicateName(text: string): StatusError {
  const name = findDuplicateName(text)
  if (name === undefined) return malformed('has a duplicate name')
  return invalidArgument([{ field: name, description: 'is given twice in the body' }])
}

function malformed(description: string): StatusError {
  return invalidArgument([{ field: 'body', description }])
}
