/** Visits the values in the JSON of a message, also those inside of an Any. */
import type { DescField, DescMessage, FileRegistry, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { kindOf, messageKind } from '../../contract/json-schema.ts'
import { fieldsByName } from './json-fields.ts'

/** A value that is neither an object nor an array, in the object or array that contains it. */
export interface Entry {
  readonly holder: JsonObject
  readonly name: string
  readonly value: JsonValue
  readonly path: string
  /** Undefined if the value belongs to no known field. */
  readonly kind: string | undefined
  /** The field that the value is the only value of; undefined for an entry of a list or map. */
  readonly field: DescField | undefined
}

/**
 * Calls `visit` for each value that is neither an object nor an array in the JSON of a message, which is the entry of
 * `root` with the empty name. The JSON need not fit the message. Both functions may change the object that they get.
 * @param visitAny is called for each Any of a known type, before its content is visited.
 */
export function visitEntries(
  schema: DescMessage,
  root: JsonObject,
  registry: FileRegistry,
  visit: (entry: Entry) => void,
  visitAny?: (any: JsonObject, content: AnyContent, path: string) => void,
): void {
  visitValue(root, '', '', messageKind(schema), schema)

  function visitValue(
    holder: JsonObject,
    name: string,
    path: string,
    kind: string | undefined,
    message: DescMessage | undefined,
    field?: DescField,
  ): void {
    const value = holder[name] as JsonValue
    if (typeof value !== 'object' || value === null) {
      visit({ holder, name, value, path, kind, field })
      return
    }
    const object = value as JsonObject
    const names = kind === 'message' && message !== undefined ? fieldsByName(message) : undefined
    const content = kind === 'any' ? contentOf(value, registry) : undefined
    if (content !== undefined) visitAny?.(object, content, path)
    for (const child of Object.keys(object)) {
      const member = names?.get(child) ?? content?.names?.get(child)
      if (member !== undefined) visitField(member, object, child, joinPath(path, member.jsonName))
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
      visitValue(holder, name, path, kindOf(field), field.message, isRepeated ? undefined : field)
    } else {
      const entries = value as JsonObject
      for (const key of Object.keys(entries)) visitValue(entries, key, `${path}[${key}]`, kindOf(field), field.message)
    }
  }
}

export interface AnyContent {
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

export function joinPath(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
