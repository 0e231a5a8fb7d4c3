/** Reads the numbers of a body exactly: those that JSON.parse rounds, and 64-bit integers with an exponent or a fraction. */
import type { DescField, DescMessage, FileRegistry, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { invalidArgument, MAX_VIOLATIONS, type Violation } from '#runtime/status.ts'
import { kindOf, messageKind } from '../../contract/json-schema.ts'
import { fieldsByName } from './json-fields.ts'
import { integerDigits, type LossyNumbers, ROOT } from './lossy-numbers.ts'

/** A value that is neither an object nor an array, in the object or array that contains it. */
interface Entry {
  readonly holder: JsonObject
  readonly name: string
  readonly value: JsonValue
  readonly path: string
  /** Undefined if the value belongs to no known field. */
  readonly kind: string | undefined
}

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
    else if (!EXACT.has(kind)) return
    else if (digits === undefined) violations.push({ field, description: 'must be a 64-bit integer' })
    else holder[name] = digits
  })
  if (violations.length > 0) throw invalidArgument(violations)
  return root[''] as JsonValue
}

/**
 * Replaces the strings in 64-bit integer fields that have an exponent or a fraction, such as `"1e3"`, by their digits.
 * ProtoJSON allows them, @bufbuild/protobuf does not read them. A string that is no 64-bit integer remains.
 */
export function expandIntegerStrings(schema: DescMessage, json: JsonValue, registry: FileRegistry): JsonValue {
  const root: JsonObject = { '': json }
  visitEntries(schema, root, registry, ({ holder, name, value, kind }) => {
    if (typeof value === 'string' && EXACT.has(kind)) holder[name] = integerDigits(value) ?? value
  })
  return root[''] as JsonValue
}

/** Calls `visit` for each entry of the JSON of a message, which is the entry of `root` with the empty name. */
function visitEntries(
  schema: DescMessage,
  root: JsonObject,
  registry: FileRegistry,
  visit: (entry: Entry) => void,
): void {
  visitValue(root, '', '', messageKind(schema), schema)

  function visitValue(
    holder: JsonObject,
    name: string,
    path: string,
    kind: string | undefined,
    message: DescMessage | undefined,
  ): void {
    const value = holder[name] as JsonValue
    if (typeof value !== 'object' || value === null) {
      visit({ holder, name, value, path, kind })
      return
    }
    const object = value as JsonObject
    const names = kind === 'message' && message !== undefined ? fieldsByName(message) : undefined
    const content = kind === 'any' ? contentOf(value, registry) : undefined
    for (const child of Object.keys(object)) {
      const field = names?.get(child) ?? content?.names?.get(child)
      if (field !== undefined) visitField(field, object, child, joinPath(path, field.jsonName))
      else {
        const childPath = Array.isArray(value) ? `${path}[${child}]` : joinPath(path, child)
        const isContent = content?.valueKind !== undefined && child === 'value'
        visitValue(object, child, childPath, isContent ? content.valueKind : kind, content?.schema)
      }
    }
  }

  function visitField(field: DescField, holder: JsonObject, name: string, path: string): void {
    const value = holder[name] as JsonValue
    const isRepeated = field.fieldKind === 'list' || field.fieldKind === 'map'
    if (!isRepeated || typeof value !== 'object' || value === null) {
      visitValue(holder, name, path, kindOf(field), field.message)
    } else {
      const entries = value as JsonObject
      for (const key of Object.keys(entries)) visitValue(entries, key, `${path}[${key}]`, kindOf(field), field.message)
    }
  }
}

const EXACT: ReadonlySet<string | undefined> = new Set(['int64', 'uint64'])

interface AnyContent {
  readonly schema: DescMessage
  /** The fields of an ordinary message, which stand beside `@type`. */
  readonly names: ReadonlyMap<string, DescField> | undefined
  /** The kind of a type with a special form, which stands in `value`. */
  readonly valueKind: string | undefined
}

/** Returns undefined if the type is unknown. Then the Any is rejected later. */
function contentOf(any: JsonValue, registry: FileRegistry): AnyContent | undefined {
  const url = (any as JsonObject)['@type']
  const schema = typeof url === 'string' ? registry.getMessage(url.slice(url.lastIndexOf('/') + 1)) : undefined
  if (schema === undefined) return undefined
  const kind = messageKind(schema)
  return kind === 'message'
    ? { schema, names: fieldsByName(schema), valueKind: undefined }
    : { schema, names: undefined, valueKind: kind }
}

function joinPath(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
