/**
 * Writes messages as ProtoJSON with @bufbuild/protobuf. Where that fails, because JSON of the standard cannot express a
 * value, it writes a documented form instead (docs/contract.md, "JSON"):
 *
 * - an Any of a type that the contract does not contain: its `@type`, and its bytes as base64 in `value`;
 * - a FieldMask with a path that lowerCamelCase cannot express: that path by its proto names.
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
import type { Any, FieldMask } from '@bufbuild/protobuf/wkt'
import { messageKind } from '../../contract/json-schema.ts'

/** A value of the JSON that replaces what @bufbuild/protobuf writes, by its keys and indexes from the root. */
interface Replacement {
  readonly path: readonly (string | number)[]
  readonly value: JsonValue
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
  } catch (error) {
    const replacements: Replacement[] = []
    removeInexpressible(reflect(schema, message), [], registry, replacements)
    if (replacements.length === 0) throw error
    return replacements.reduce(replace, toJson(schema, message, options))
  }
}

// TypeScript does not declare it yet.
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown }

/** Returns JSON text that keeps the sign of -0, which JSON.stringify drops. */
export function jsonText(value: JsonValue): string {
  return JSON.stringify(value, (_name, entry) => (Object.is(entry, -0) ? rawJSON('-0') : entry))
}

function replace(json: JsonValue, { path, value }: Replacement): JsonValue {
  const last = path.at(-1)
  if (last === undefined) return value
  let holder = json as JsonObject
  for (const key of path.slice(0, -1)) holder = holder[key] as JsonObject
  holder[last] = value
  return json
}

/** Clears each value that JSON cannot express, and adds what replaces it. */
function removeInexpressible(
  content: ReflectMessage,
  path: Replacement['path'],
  registry: FileRegistry,
  found: Replacement[],
): void {
  switch (messageKind(content.desc)) {
    case 'any':
      removeFromAny(content.message as Any, path, registry, found)
      return
    case 'field-mask':
      removeFromMask(content.message as FieldMask, path, found)
      return
    case 'message':
      break
    default:
      return
  }
  for (const field of content.fields) {
    if (field.message === undefined || !content.isSet(field)) continue
    const value: unknown = content.get(field)
    const entries =
      field.fieldKind === 'message'
        ? [[undefined, value] as const]
        : ((value as { entries(): Iterable<[string | number | bigint | boolean, unknown]> }).entries() as Iterable<
            [string | number, unknown]
          >)
    for (const [key, entry] of entries) {
      const place = [...path, field.jsonName, ...(key === undefined ? [] : [`${key}`])]
      removeInexpressible(entry as ReflectMessage, place, registry, found)
    }
  }
}

function removeFromAny(any: Any, path: Replacement['path'], registry: FileRegistry, found: Replacement[]): void {
  if (any.typeUrl === '') return
  const schema = registry.getMessage(any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1))
  if (schema === undefined) {
    const value = Buffer.from(any.value).toString('base64')
    found.push({ path, value: { '@type': any.typeUrl, value } })
    any.typeUrl = ''
    return
  }
  const message = fromBinary(schema, any.value)
  const before = found.length
  const place = messageKind(schema) === 'message' ? path : [...path, 'value']
  removeInexpressible(reflect(schema, message), place, registry, found)
  if (found.length > before) any.value = toBinary(schema, message)
}

function removeFromMask(mask: FieldMask, path: Replacement['path'], found: Replacement[]): void {
  const names = mask.paths.map(name => {
    const camelCase = protoCamelCase(name)
    return protoSnakeCase(camelCase) === name ? camelCase : name
  })
  if (names.every((name, index) => name === protoCamelCase(mask.paths[index] as string))) return
  found.push({ path, value: names.join(',') })
  mask.paths = []
}
