/** Restores 64-bit integers of a body that JSON.parse rounded, and rejects what JSON.parse changed beyond that. */
import type { DescField, DescMessage, FileRegistry, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { invalidArgument, MAX_VIOLATIONS, type Violation } from '#runtime/status.ts'
import { kindOf, messageKind } from '../../contract/json-schema.ts'
import { fieldsByName } from './json-fields.ts'
import type { LossyNumbers } from './lossy-numbers.ts'

/**
 * Checks the changed numbers against the types of their fields. In 64-bit integer fields an integer is replaced by its
 * digits, a string, which ProtoJSON reads exactly; a fraction is rejected. An infinite value is rejected everywhere.
 * Other fields either reject the number later (32-bit integers) or round by definition (floats).
 * @throws StatusError INVALID_ARGUMENT with the path of each rejected number, at most `MAX_VIOLATIONS`.
 */
export function restoreExactNumbers(
  schema: DescMessage,
  json: JsonValue,
  lossy: LossyNumbers,
  registry: FileRegistry,
): void {
  const violations: Violation[] = []
  checkValue(json, '', messageKind(schema), schema)
  if (violations.length > 0) throw invalidArgument(violations)

  /** @param kind undefined if the value belongs to no known field. */
  function checkValue(
    value: JsonValue,
    path: string,
    kind: string | undefined,
    message: DescMessage | undefined,
  ): void {
    if (typeof value !== 'object' || value === null) return
    const names = kind === 'message' && message !== undefined ? fieldsByName(message) : undefined
    const content = kind === 'any' ? contentOf(value, registry) : undefined
    for (const [name, child] of Object.entries(value)) {
      const field = names?.get(name) ?? content?.names?.get(name)
      if (field !== undefined) checkField(field, value, name, joinPath(path, field.jsonName))
      else {
        const childPath = Array.isArray(value) ? `${path}[${name}]` : joinPath(path, name)
        const isContent = content?.valueKind !== undefined && name === 'value'
        checkEntry(value, name, child, childPath, isContent ? content.valueKind : kind, content?.schema)
      }
    }
  }

  function checkField(field: DescField, holder: object, name: string, path: string): void {
    const value = (holder as JsonObject)[name] as JsonValue
    const isRepeated = field.fieldKind === 'list' || field.fieldKind === 'map'
    if (!isRepeated || typeof value !== 'object' || value === null) {
      checkEntry(holder, name, value, path, kindOf(field), field.message)
    } else {
      for (const [key, entry] of Object.entries(value)) {
        checkEntry(value, key, entry, `${path}[${key}]`, kindOf(field), field.message)
      }
    }
  }

  function checkEntry(
    holder: object,
    name: string,
    value: JsonValue,
    path: string,
    kind: string | undefined,
    message: DescMessage | undefined,
  ): void {
    if (violations.length === MAX_VIOLATIONS) return
    if (typeof value !== 'number') checkValue(value, path, kind, message)
    else {
      const numbers = lossy.get(holder)
      if (numbers === undefined || !numbers.has(name)) return
      const digits = numbers.get(name)
      if (!Number.isFinite(value)) violations.push({ field: path, description: 'is a number that is too large' })
      else if (!EXACT.has(kind)) return
      else if (digits === undefined) violations.push({ field: path, description: 'must be a 64-bit integer' })
      else (holder as JsonObject)[name] = digits
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
