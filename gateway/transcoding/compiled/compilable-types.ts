/** Decides which message types are compiled. The others use the reference codec. */
import type { DescField, DescMessage, FileRegistry } from '@bufbuild/protobuf'
import { FeatureSet_FieldPresence as FieldPresence } from '@bufbuild/protobuf/wkt'
import { containedMessages } from '../../contract/validation/validate-options.ts'
import { needsReferenceRules } from './encoder-rules.ts'

/** Whether the type itself can be compiled. Types of its fields are not considered: they are compiled separately. */
export function isCompilable(schema: DescMessage, registry: FileRegistry): boolean {
  return (
    schema.typeName !== 'google.protobuf.Any' &&
    !extendedTypes(registry).has(schema.typeName) &&
    !hasAmbiguousNames(schema) &&
    schema.fields.every(isCompilableField)
  )
}

/** Whether the type can be compiled in a request, where its rules apply. */
export function isCompilableRequest(schema: DescMessage, registry: FileRegistry): boolean {
  return isCompilable(schema, registry) && !needsReferenceRules(schema)
}

/**
 * Returns the full names of the types that are not compiled, among the message and all messages that it contains.
 * @param isCompiled `isCompilable` or `isCompilableRequest`.
 * @param excluded types that are not considered.
 */
export function uncompiledTypes(
  schema: DescMessage,
  registry: FileRegistry,
  isCompiled: (schema: DescMessage, registry: FileRegistry) => boolean,
  excluded = new Set<DescMessage>(),
): string[] {
  return [...containedMessages(schema, excluded)].filter(type => !isCompiled(type, registry)).map(type => type.typeName)
}

/**
 * Excludes two kinds of fields. Groups and required fields of proto2 have their own rules. Some JSON names behave
 * differently as keys of a JavaScript object: integers are enumerated first, `__proto__` is not a property, and
 * @bufbuild/protobuf reads inherited properties as values.
 */
function isCompilableField(field: DescField): boolean {
  const isGroup = 'delimitedEncoding' in field && field.delimitedEncoding
  const isRequired = field.presence === FieldPresence.LEGACY_REQUIRED
  const isInteger = /^\d+$/.test(field.jsonName)
  const isInherited = field.localName in Object.prototype
  const isPrototype = field.jsonName === '__proto__' || field.name === '__proto__'
  return !isGroup && !isRequired && !isInteger && !isInherited && !isPrototype
}

const cache = new WeakMap<FileRegistry, ReadonlySet<string>>()

/** Returns the names of types with extensions. Values of extensions are unknown fields to the compiled codec. */
function extendedTypes(registry: FileRegistry): ReadonlySet<string> {
  let names = cache.get(registry)
  if (names === undefined) {
    names = new Set([...registry].flatMap(type => (type.kind === 'extension' ? type.extendee.typeName : [])))
    cache.set(registry, names)
  }
  return names
}

/** Whether the JSON name of one field equals the proto name of another. */
function hasAmbiguousNames(schema: DescMessage): boolean {
  const names = schema.fields.flatMap(field => [...new Set([field.name, field.jsonName])])
  return new Set(names).size < names.length
}
