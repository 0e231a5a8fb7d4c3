/** Forms of a value that ProtoJSON allows, but that @bufbuild/protobuf does not read. */
import type { DescMessage, FileRegistry, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { hasNull } from '../../contract/json-schema.ts'
import { EXACT_KINDS } from '../binding/exact-numbers.ts'
import { type AnyContent, visitEntries } from '../binding/json-visitor.ts'
import { integerDigits } from '../binding/lossy-numbers.ts'

/**
 * Replaces the other forms in the JSON of a message; it changes the JSON.
 *
 * - A string in a 64-bit integer field with an exponent or a fraction, such as `"1e3"`: by its digits. A string that is
 *   no 64-bit integer remains.
 * - Null for a member of a oneof, which means unset: the member is removed.
 * - An Any of an Empty with `"value": {}`: `value` is removed.
 *
 * @returns the JSON, which is another value only if it is a string.
 */
export function replaceOtherForms(schema: DescMessage, json: JsonValue, registry: FileRegistry): JsonValue {
  const root: JsonObject = { '': json }
  visitEntries(
    schema,
    root,
    registry,
    ({ holder, name, value, kind, field }) => {
      if (typeof value === 'string' && EXACT_KINDS.has(kind)) holder[name] = integerDigits(value) ?? value
      else if (value === null && field?.oneof !== undefined && !hasNull(field)) delete holder[name]
    },
    (any, content) => {
      if (hasEmptyValue(any, content)) delete any['value']
    },
  )
  return root[''] as JsonValue
}

/** Whether the content of the Any is an Empty, written as the well-known types with a special form are. */
export function hasEmptyValue(any: JsonObject, { schema }: AnyContent): boolean {
  const value = any['value']
  return (
    schema.typeName === 'google.protobuf.Empty' &&
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.keys(value).length === 0
  )
}
