/**
 * Writes messages as ProtoJSON with @bufbuild/protobuf. Where that fails, because JSON of the standard cannot express a
 * value, it writes a documented form instead (docs/contract.md, "JSON"):
 *
 * - an Any of a type that the contract does not contain: its `@type`, and its bytes as base64 in `value`;
 * - a FieldMask with a path that lowerCamelCase cannot express: that path by its proto names;
 * - an unset google.protobuf.Value: null.
 *
 * ProtoJSON demands an error for a Timestamp or Duration out of range, and for NaN and infinities in a Value. The error
 * names the field and the value.
 */
import {
  type DescMessage,
  type FileRegistry,
  fromBinary,
  type JsonObject,
  type JsonValue,
  type Message,
  toBinary,
  toJson,
} from '@bufbuild/protobuf'
import { protoCamelCase, protoSnakeCase, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { type Any, type FieldMask, type ListValue, NullValue, type Struct, type Value } from '@bufbuild/protobuf/wkt'
import { messageKind } from '../../contract/json-schema.ts'

/** A value of the JSON that replaces what @bufbuild/protobuf writes, by its keys and indexes from the root. */
interface Replacement {
  readonly keys: readonly string[]
  readonly value: JsonValue
}

/** Where a message is in the response. */
interface Place {
  readonly keys: Replacement['keys']
  /** For error messages: JSON names, entries of lists and maps in brackets. */
  readonly field: string
}

interface Search {
  readonly registry: FileRegistry
  readonly replacements: Replacement[]
}

/**
 * Converts a message to ProtoJSON, with fields without presence. May change the message.
 * @param enumsAsIntegers whether enum values are numbers instead of names.
 * @throws Error if JSON cannot express the message, such as a Timestamp that is out of range.
 */
export function messageJson(
  schema: DescMessage,
  message: Message,
  registry: FileRegistry,
  enumsAsIntegers = false,
): JsonValue {
  const options = { registry, alwaysEmitImplicit: true, enumAsInteger: enumsAsIntegers }
  try {
    return toJson(schema, message, options)
  } catch {
    const search: Search = { registry, replacements: [] }
    removeInexpressible(reflect(schema, message), { keys: [], field: '' }, search)
    return search.replacements.reduce(replace, toJson(schema, message, options))
  }
}

// TypeScript does not declare it yet.
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown }

/** Returns JSON text that keeps the sign of -0, which JSON.stringify drops. */
export function jsonText(value: JsonValue): string {
  return JSON.stringify(value, (_name, entry) => (Object.is(entry, -0) ? rawJSON('-0') : entry))
}

function replace(json: JsonValue, { keys, value }: Replacement): JsonValue {
  const last = keys.at(-1)
  if (last === undefined) return value
  let holder = json as JsonObject
  for (const key of keys.slice(0, -1)) holder = holder[key] as JsonObject
  holder[last] = value
  return json
}

/**
 * Clears each value that JSON cannot express, and adds what replaces it.
 * @throws Error with the field and the value if nothing can replace it.
 */
function removeInexpressible(content: ReflectMessage, place: Place, search: Search): void {
  const { message } = content
  switch (messageKind(content.desc)) {
    case 'any':
      removeFromAny(message as Any, place, search)
      break
    case 'field-mask':
      removeFromMask(message as FieldMask, place, search)
      break
    case 'timestamp':
    case 'duration':
      checkTime(content.desc, message, place)
      break
    case 'value':
      setNulls(message as Value, place.field)
      break
    case 'struct':
      setNullsInStruct(message as Struct, place.field)
      break
    case 'list-value':
      setNullsInList(message as ListValue, place.field)
      break
    case 'message':
      removeFromFields(content, place, search)
      break
    default:
  }
}

function removeFromFields(content: ReflectMessage, place: Place, search: Search): void {
  for (const field of content.fields) {
    if (field.message === undefined || !content.isSet(field)) continue
    const value: unknown = content.get(field)
    const entries =
      field.fieldKind === 'message'
        ? [[undefined, value] as const]
        : (value as { entries(): Iterable<[string | number | bigint | boolean, unknown]> }).entries()
    const name = joined(place.field, field.jsonName)
    for (const [key, entry] of entries) {
      const keys = [...place.keys, field.jsonName, ...(key === undefined ? [] : [`${key}`])]
      const inner = { keys, field: key === undefined ? name : `${name}[${key}]` }
      removeInexpressible(entry as ReflectMessage, inner, search)
    }
  }
}

function removeFromAny(any: Any, place: Place, search: Search): void {
  if (any.typeUrl === '') return
  const schema = search.registry.getMessage(any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1))
  if (schema === undefined) {
    const value = Buffer.from(any.value).toString('base64')
    search.replacements.push({ keys: place.keys, value: { '@type': any.typeUrl, value } })
    any.typeUrl = ''
    return
  }
  const message = fromBinary(schema, any.value)
  const isObject = messageKind(schema) === 'message'
  const content = isObject ? place : { keys: [...place.keys, 'value'], field: joined(place.field, 'value') }
  removeInexpressible(reflect(schema, message), content, search)
  any.value = toBinary(schema, message)
}

function removeFromMask(mask: FieldMask, { keys }: Place, { replacements }: Search): void {
  const names = mask.paths.map(name => {
    const camelCase = protoCamelCase(name)
    return protoSnakeCase(camelCase) === name ? camelCase : name
  })
  if (names.every((name, index) => name === protoCamelCase(mask.paths[index] as string))) return
  replacements.push({ keys, value: names.join(',') })
  mask.paths = []
}

function checkTime(schema: DescMessage, message: Message, { field }: Place): void {
  try {
    toJson(schema, message)
  } catch (cause) {
    const { seconds, nanos } = message as Message & { seconds: bigint; nanos: number }
    throw inexpressible(field, `${schema.typeName} of ${seconds} seconds and ${nanos} nanos is out of range`, cause)
  }
}

/** Sets unset values to null. @throws Error for a number that is not finite. */
function setNulls(value: Value, field: string): void {
  const { kind } = value
  switch (kind.case) {
    case undefined:
      value.kind = { case: 'nullValue', value: NullValue.NULL_VALUE }
      break
    case 'numberValue':
      if (!Number.isFinite(kind.value)) throw inexpressible(field, `google.protobuf.Value cannot be ${kind.value}`)
      break
    case 'structValue':
      setNullsInStruct(kind.value, field)
      break
    case 'listValue':
      setNullsInList(kind.value, field)
      break
    default:
  }
}

function setNullsInStruct({ fields }: Struct, field: string): void {
  for (const [name, value] of Object.entries(fields)) setNulls(value, joined(field, name))
}

function setNullsInList({ values }: ListValue, field: string): void {
  for (const [index, value] of values.entries()) setNulls(value, `${field}[${index}]`)
}

function inexpressible(field: string, reason: string, cause?: unknown): Error {
  const subject = field === '' ? 'A response' : `Field ${field} of a response`
  return new Error(`${subject} cannot be written as JSON: ${reason}`, { cause })
}

function joined(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
