/**
 * The JSON Schema of the ProtoJSON that a message accepts: structure and types. The structure
 * check uses it to report each invalid value with its path. The only rule in it is `min_items`, because the message cannot
 * tell an empty list from an unset field. The codec checks what a schema cannot, such as the range of
 * a 64-bit number. The schema is stricter than ProtoJSON in two points: it rejects unknown names, and a field that is
 * given under both its names.
 *
 * Each schema, except that of google.protobuf.Value, has a `description` that completes the sentence "must be …".
 */
import type { DescEnum, DescField, DescMessage, DescOneof } from '@bufbuild/protobuf'
import { isHeaderField, rulesOf } from '#runtime/grpc/contract.ts'
import {
  hasNull,
  type JsonSchema,
  kindOf,
  messageKind,
  type PlainKind,
  scalarKind,
} from '../../contract/json-schema.ts'

/** A keyword in addition to those of JSON Schema: the object contains at most one name of each group. */
export const AT_MOST_ONE = 'atMostOne'

/** Names of which an object may contain at most one. */
export interface NameGroup {
  readonly names: readonly string[]
  /** The names whose value null means unset, so that they do not count. */
  readonly nullable: readonly string[]
  /** The description of a violation of the last name found. */
  readonly description: string
}

/** Returns the schema of a message. Recursive types refer to `$defs`, which contain one schema per message type. */
export function validationSchema(message: DescMessage): JsonSchema {
  const kind = messageKind(message)
  if (kind !== 'message') return VALUES[kind]
  const $defs: Record<string, JsonSchema> = {}
  for (const type of reachableMessages(message)) $defs[type.typeName] = objectSchema(type)
  return { ...referTo(message), $defs }
}

function reachableMessages(message: DescMessage, found = new Set<DescMessage>()): Set<DescMessage> {
  if (found.has(message)) return found
  found.add(message)
  for (const field of jsonFields(message)) {
    if (kindOf(field) === 'message') reachableMessages(field.message as DescMessage, found)
  }
  return found
}

/** Returns the fields that JSON may contain; cookies and If-Match travel in headers. */
function jsonFields(message: DescMessage): DescField[] {
  return message.fields.filter(field => !isHeaderField(field))
}

const PROTOTYPE = '__proto__'

function objectSchema(message: DescMessage): JsonSchema {
  const fields = jsonFields(message)
  const schemas = new Map<string, JsonSchema>()
  for (const field of fields) {
    const schema = fieldSchema(field)
    schemas.set(field.name, schema).set(field.jsonName, schema)
  }
  // Ajv ignores a property of this name.
  const prototype = schemas.get(PROTOTYPE)
  schemas.delete(PROTOTYPE)
  const groups = [...bothNames(fields), ...message.oneofs.flatMap(oneof => oneofMembers(oneof))]
  return {
    type: ['object', 'null'],
    description: 'an object',
    properties: Object.fromEntries(schemas),
    ...(prototype && { patternProperties: { [`^${PROTOTYPE}$`]: prototype } }),
    additionalProperties: false,
    ...(groups.length > 0 && { [AT_MOST_ONE]: groups }),
  }
}

function* bothNames(fields: readonly DescField[]): Iterable<NameGroup> {
  for (const { name, jsonName } of fields) {
    if (name === jsonName) continue
    yield { names: [jsonName, name], nullable: [], description: `is given twice, as ${jsonName} and as ${name}` }
  }
}

function oneofMembers(oneof: DescOneof): NameGroup[] {
  const members = oneof.fields.filter(field => !isHeaderField(field))
  if (members.length < 2) return []
  const spellings = (fields: readonly DescField[]) => [
    ...new Set(fields.flatMap(field => [field.jsonName, field.name])),
  ]
  const description = `cannot be given with another of ${members.map(field => field.jsonName).join(', ')}`
  const nullable = spellings(members.filter(field => !hasNull(field)))
  return [{ names: spellings(members), nullable, description }]
}

function fieldSchema(field: DescField): JsonSchema {
  const minItems = rulesOf(field)?.minItems ?? 0
  if (field.fieldKind === 'list') {
    return {
      type: ['array', 'null'],
      description: 'an array',
      items: valueSchema(field),
      ...(minItems > 0 && { minItems }),
    }
  }
  if (field.fieldKind === 'map') {
    return {
      type: ['object', 'null'],
      description: 'an object',
      propertyNames: KEYS[scalarKind(field.mapKey)],
      additionalProperties: valueSchema(field),
      ...(minItems > 0 && { minProperties: minItems }),
    }
  }
  return kindOf(field) === 'message' ? { $ref: reference(field.message as DescMessage) } : orNull(valueSchema(field))
}

/** Returns the schema of an entry of a list or map. Null is not allowed there, except as the null of a Value. */
function valueSchema(field: DescField): JsonSchema {
  const kind = kindOf(field)
  if (kind === 'enum') return enumSchema(field.enum as DescEnum)
  return kind === 'message' ? referTo(field.message as DescMessage) : VALUES[kind]
}

function referTo(message: DescMessage): JsonSchema {
  return { $ref: reference(message), type: 'object', description: 'an object' }
}

function reference(message: DescMessage): string {
  return `#/$defs/${message.typeName}`
}

function orNull(schema: JsonSchema): JsonSchema {
  const { type, enum: values } = schema
  if (values !== undefined) return { ...schema, enum: [null, ...(values as readonly unknown[])] }
  return type === undefined ? schema : { ...schema, type: [...new Set([type, 'null'].flat())] }
}

function enumSchema({ typeName, open, values }: DescEnum): JsonSchema {
  const names = [...new Set(values.flatMap(value => [value.jsonName, value.name]))]
  const description = `one of ${names.join(', ')}`
  if (!open) return { enum: [...names, ...new Set(values.map(value => value.number))], description }
  // An open enum accepts any number. NullValue accepts null.
  const type = typeName === 'google.protobuf.NullValue' ? ['string', 'integer', 'null'] : ['string', 'integer']
  return { type, ...INT32_RANGE, pattern: `^(?:${names.map(RegExp.escape).join('|')})$`, description }
}

const INT32_RANGE = { minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }
const UINT32_RANGE = { minimum: 0, maximum: 2 ** 32 - 1 }

// A number in quotes as RFC 8259 section 6 defines it, plus leading zeros. The codec checks that it is an integer in
// range.
const NUMBER = '-?\\d+(?:\\.\\d+)?(?:[eE][+\\-]?\\d+)?'

const INTEGER = { type: ['integer', 'string'], pattern: `^${NUMBER}$` }
const FLOAT = {
  type: ['number', 'string'],
  pattern: `^(?:NaN|-?Infinity|${NUMBER})$`,
  description: 'a number, "NaN", "Infinity" or "-Infinity"',
}
const OBJECT = { type: 'object', description: 'an object' }

const VALUES: Record<PlainKind, JsonSchema> = {
  boolean: { type: 'boolean', description: 'true or false' },
  string: { type: 'string', description: 'a string' },
  bytes: { type: 'string', format: 'base64', description: 'base64' },
  int32: { ...INTEGER, ...INT32_RANGE, description: 'an integer from -2147483648 to 2147483647' },
  uint32: { ...INTEGER, ...UINT32_RANGE, description: 'an integer from 0 to 4294967295' },
  int64: { ...INTEGER, description: 'a 64-bit integer' },
  uint64: { ...INTEGER, minimum: 0, description: 'an unsigned 64-bit integer' },
  float: FLOAT,
  double: FLOAT,
  timestamp: {
    type: 'string',
    format: 'date-time',
    description: 'a timestamp such as 2026-01-31T23:59:59Z',
  },
  duration: {
    type: 'string',
    pattern: '^-?\\d+(?:\\.\\d{1,9})?s$',
    description: 'a duration in seconds such as 1.5s',
  },
  'field-mask': {
    type: 'string',
    pattern: '^(?:[^_,]+(?:,[^_,]+)*)?$',
    description: 'names of fields, separated by commas',
  },
  struct: OBJECT,
  'list-value': { type: 'array', description: 'an array' },
  value: {},
  any: { ...OBJECT, properties: { '@type': { type: 'string', description: 'the URL of a type' } } },
}

// In JSON the keys of a map are always strings.
const INTEGER_KEY = { pattern: `^${NUMBER}$`, description: 'an integer' }
const KEYS: Partial<Record<PlainKind, JsonSchema>> = {
  boolean: { enum: ['true', 'false'], description: 'true or false' },
  int32: INTEGER_KEY,
  uint32: INTEGER_KEY,
  int64: INTEGER_KEY,
  uint64: INTEGER_KEY,
}
