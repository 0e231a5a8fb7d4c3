/** Resolves the paths of path variables and query parameters to fields. */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { fieldsByName } from './json-fields.ts'
import { MAX_JSON_DEPTH } from './json-text.ts'

/** Resolves proto names. @throws Error if there is no such field; the route table has checked all path variables. */
export function fieldsAt(message: DescMessage, names: readonly string[]): readonly DescField[] {
  const fields: DescField[] = []
  let current: DescMessage | undefined = message
  for (const name of names) {
    const field: DescField | undefined = current?.fields.find(candidate => candidate.name === name)
    if (field === undefined) throw new Error(`${message.typeName} has no field ${names.join('.')}`)
    fields.push(field)
    current = field.message
  }
  return fields
}

/**
 * Resolves the name of a query parameter: JSON names or proto names with dots between them. A JSON name may contain
 * dots itself, and the longest name that fits is chosen.
 * @returns undefined if a field is unknown or the path is nested deeper than `MAX_JSON_DEPTH`.
 */
export function resolveParameter(message: DescMessage, name: string): readonly DescField[] | undefined {
  const parts = name.split('.')
  const fields: DescField[] = []
  let current: DescMessage | undefined = message
  for (let at = 0; at < parts.length; ) {
    // Recursive messages allow paths of any length, and the codecs recurse into what the path creates.
    if (current === undefined || fields.length === MAX_JSON_DEPTH) return undefined
    const found = findField(current, parts, at)
    if (found === undefined) return undefined
    fields.push(found.field)
    at = found.end
    current = found.field.message
  }
  return fields
}

/**
 * Finds the field whose JSON name or proto name is the longest that starts at an index of a path.
 * @returns the field and the index after its name; undefined if there is none.
 */
export function findField(
  message: DescMessage,
  parts: readonly string[],
  at: number,
): { field: DescField; end: number } | undefined {
  const names = fieldsByName(message)
  let length = Math.min(longestName(message), parts.length - at)
  while (length > 1 && !names.has(parts.slice(at, at + length).join('.'))) length--
  const field = names.get(length === 1 ? (parts[at] as string) : parts.slice(at, at + length).join('.'))
  return field && { field, end: at + length }
}

const cache = new WeakMap<DescMessage, number>()

/** Returns the maximum number of parts, separated by dots, in a JSON name of the message. */
function longestName(message: DescMessage): number {
  let longest = cache.get(message)
  if (longest === undefined) {
    longest = Math.max(1, ...message.fields.map(field => field.jsonName.split('.').length))
    cache.set(message, longest)
  }
  return longest
}
