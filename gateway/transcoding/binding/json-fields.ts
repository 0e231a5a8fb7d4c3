import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { isHeaderField } from '#runtime/grpc/contract.ts'

const cache = new WeakMap<DescMessage, ReadonlyMap<string, DescField>>()

/** The fields that JSON and query parameters may set, by JSON and by proto name: all but cookies and If-Match. */
export function fieldsByName(message: DescMessage): ReadonlyMap<string, DescField> {
  let names = cache.get(message)
  if (names === undefined) {
    const fields = message.fields.filter(field => !isHeaderField(field))
    // JSON names are added last: if one equals the proto name of another field, ProtoJSON prefers the JSON name.
    names = new Map([
      ...fields.map(field => [field.name, field] as const),
      ...fields.map(field => [field.jsonName, field] as const),
    ])
    cache.set(message, names)
  }
  return names
}

/** Excludes inherited properties, such as `constructor`, which may have the name of a field. */
export function ownProperty(json: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(json, name) ? json[name] : undefined
}

/** Sets an own property. Assignment would replace the prototype if the name is `__proto__`. */
export function setProperty(json: JsonObject, name: string, value: JsonValue): void {
  if (name !== '__proto__') json[name] = value
  else Object.defineProperty(json, name, { value, enumerable: true, configurable: true, writable: true })
}

export function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

/** Returns the value of a field, under its JSON name or its proto name; undefined if neither is present. */
export function fieldValue(json: JsonObject, field: DescField): JsonValue | undefined {
  return ownProperty(json, field.jsonName) ?? ownProperty(json, field.name)
}
