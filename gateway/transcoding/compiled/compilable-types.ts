/** Which types the compiled codec takes on. The others go to the reference. */
import type { DescField, DescMessage, FileRegistry } from '@bufbuild/protobuf'

export function isCompilable(schema: DescMessage, registry: FileRegistry): boolean {
  return (
    schema.typeName !== 'google.protobuf.Any' &&
    !extendedTypes(registry).has(schema.typeName) &&
    !hasAmbiguousNames(schema) &&
    schema.fields.every(isPlain)
  )
}

/** The names of the types within the message, itself among them, that are left to the reference. */
export function uncompiledTypes(schema: DescMessage, registry: FileRegistry, seen = new Set<DescMessage>()): string[] {
  if (seen.has(schema)) return []
  seen.add(schema)
  const own = isCompilable(schema, registry) ? [] : [schema.typeName]
  return [...own, ...schema.fields.flatMap(({ message }) => (message ? uncompiledTypes(message, registry, seen) : []))]
}

// google.protobuf.FeatureSet.FieldPresence.LEGACY_REQUIRED
const LEGACY_REQUIRED = 3

/**
 * Not a field of proto2's own: a group, or one that must be set. Nor one whose name has a place of its own in a JavaScript
 * object: a number comes before other names, `__proto__` is none, and what objects inherit, the reference takes for a value.
 */
function isPlain(field: DescField): boolean {
  const isGroup = 'delimitedEncoding' in field && field.delimitedEncoding
  const isOrderedByName = /^\d+$/.test(field.jsonName)
  const isInherited = field.localName in Object.prototype
  const isPrototype = field.jsonName === '__proto__' || field.name === '__proto__'
  return !isGroup && field.presence !== LEGACY_REQUIRED && !isOrderedByName && !isInherited && !isPrototype
}

const extended = new WeakMap<FileRegistry, ReadonlySet<string>>()

/** Types with extensions, whose values are among the unknown fields of a message. */
function extendedTypes(registry: FileRegistry): ReadonlySet<string> {
  let names = extended.get(registry)
  if (names === undefined) {
    names = new Set([...registry].flatMap(type => (type.kind === 'extension' ? type.extendee.typeName : [])))
    extended.set(registry, names)
  }
  return names
}

/** Whether one name stands for two fields, of one as JSON has it and of the other as its proto does. */
function hasAmbiguousNames(schema: DescMessage): boolean {
  const names = schema.fields.flatMap(field => [...new Set([field.name, field.jsonName])])
  return new Set(names).size < names.length
}
