/** Reads the numbers of a body exactly that JSON.parse rounds. */
import type { DescMessage, FileRegistry, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { invalidArgument, MAX_VIOLATIONS, type Violation } from '#runtime/status.ts'
import { visitEntries } from './json-visitor.ts'
import { type LossyNumbers, ROOT } from './lossy-numbers.ts'

/**
 * Checks the changed numbers against the types of their fields. In 64-bit integer fields an integer is replaced by its
 * digits, a string, which ProtoJSON reads exactly; a fraction is rejected. An infinite value is rejected everywhere.
 * Other fields either reject the number later (32-bit integers) or round by definition (floats).
 * @returns the JSON, which is another value only if it is a number.
 * @throws StatusError INVALID_ARGUMENT with the path of each rejected number, at most `MAX_VIOLATIONS`.
 */
export function restoreExactNumbers(
  schema: DescMessage,
  json: JsonValue,
  lossy: LossyNumbers,
  registry: FileRegistry,
): JsonValue {
  const violations: Violation[] = []
  const root: JsonObject = { '': json }
  // A body that is a number has no parent in the parsed text.
  const number = lossy.get(ROOT)
  if (number !== undefined) lossy.set(root, number)
  visitEntries(schema, root, registry, ({ holder, name, value, path, kind }) => {
    if (typeof value !== 'number' || violations.length === MAX_VIOLATIONS) return
    const numbers = lossy.get(holder)
    if (numbers === undefined || !numbers.has(name)) return
    const digits = numbers.get(name)
    const field = path || 'body'
    if (!Number.isFinite(value)) violations.push({ field, description: 'is a number that is too large' })
    else if (!EXACT_KINDS.has(kind)) return
    else if (digits === undefined) violations.push({ field, description: 'must be a 64-bit integer' })
    else holder[name] = digits
  })
  if (violations.length > 0) throw invalidArgument(violations)
  return root[''] as JsonValue
}

/** The kinds of which JSON.parse rounds values. */
export const EXACT_KINDS: ReadonlySet<string | undefined> = new Set(['int64', 'uint64'])
