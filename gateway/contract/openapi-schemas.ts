/**
 * JSON Schemas of the OpenAPI document. They describe the recommended form of each value, with the field rules and
 * comments of the contract. Fields that travel as cookies or that the edge consumes are not included.
 */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { isHeaderField, type Rules, rulesOf } from '#runtime/grpc/contract.ts'
import { FORMATS } from '#runtime/grpc/rules.ts'
import { inlineOneof, isRevocation } from './edge-fields.ts'
import { type JsonKind, type JsonSchema, kindOf, messageKind } from './json-schema.ts'
import { commentOf } from './proto-comments.ts'

const INTEGER_TEXT = { type: 'string', pattern: '^-?[0-9]+$' }

const PLAIN: Record<Exclude<JsonKind, 'enum' | 'message'>, JsonSchema> = {
  boolean: { type: 'boolean' },
  string: { type: 'string' },
  bytes: { type: 'string', contentEncoding: 'base64' },
  int32: { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
  uint32: { type: 'integer', minimum: 0, maximum: 2 ** 32 - 1 },
  int64: INTEGER_TEXT,
  uint64: { type: 'string', pattern: '^[0-9]+$' },
  float: { type: ['number', 'string'] },
  double: { type: ['number', 'string'] },
  timestamp: { type: 'string', format: 'date-time' },
  duration: { type: 'string', pattern: '^-?[0-9]+(\\.[0-9]+)?s$' },
  'field-mask': { type: 'string' },
  struct: { type: 'object' },
  'list-value': { type: 'array' },
  value: {},
  any: { type: 'object', properties: { '@type': { type: 'string' } } },
}

/** The schemas of one document. Each message type has one schema under `components`; all uses refer to it. */
export interface OpenApiSchemas {
  /** Schemas by full name of the message type, of all messages referred to so far. */
  readonly components: Readonly<Record<string, JsonSchema>>
  /** Returns a `$ref` to the schema of a message; for a well-known type the schema itself. */
  refTo(message: DescMessage): JsonSchema
  /** Returns the schema of a field with its rules and comment. */
  ofField(field: DescField): JsonSchema
  /** Returns an object schema. @param fields the properties; by default all visible fields of the message. */
  propertiesOf(message: DescMessage, fields?: readonly DescField[]): JsonSchema
}

export function createOpenApiSchemas(): OpenApiSchemas {
  const components: Record<string, JsonSchema> = {}

  function refTo(message: DescMessage): JsonSchema {
    const kind = messageKind(message)
    if (kind !== 'message') return PLAIN[kind]
    const name = message.typeName
    if (components[name] === undefined) {
      // Set before the fields are visited, so that recursive messages terminate.
      components[name] = {}
      components[name] = describe(message)
    }
    return { $ref: `#/components/schemas/${name}` }
  }

  function describe(message: DescMessage): JsonSchema {
    const description = commentOf(message)
    const inline = inlineOneof(message)
    const content =
      inline === undefined
        ? propertiesOf(message)
        : { oneOf: inline.fields.map(field => refTo(field.message as DescMessage)) }
    return { ...content, ...(description && { description }) }
  }

  function propertiesOf(message: DescMessage, fields = visibleFields(message)): JsonSchema {
    const required = fields.filter(field => rulesOf(field)?.required).map(field => field.jsonName)
    return {
      type: 'object',
      properties: Object.fromEntries(fields.map(field => [field.jsonName, ofField(field)])),
      ...(required.length > 0 && { required }),
    }
  }

  function ofField(field: DescField): JsonSchema {
    const description = commentOf(field)
    const rules = rulesOf(field)
    const single = { ...ofValue(field), ...(rules && keywordsOf(rules, kindOf(field))) }
    const maxItems = rules?.maxItems
    const schema =
      field.fieldKind === 'list'
        ? { type: 'array', items: single, ...(maxItems !== undefined && { maxItems }) }
        : field.fieldKind === 'map'
          ? { type: 'object', additionalProperties: single, ...(maxItems !== undefined && { maxProperties: maxItems }) }
          : single
    return { ...schema, ...(description && { description }) }
  }

  function ofValue(field: DescField): JsonSchema {
    if (field.enum !== undefined) return { type: 'string', enum: field.enum.values.map(value => value.name) }
    if (field.message !== undefined) return refTo(field.message)
    const kind = kindOf(field)
    return kind === 'enum' || kind === 'message' ? {} : PLAIN[kind]
  }

  return { components, refTo, ofField, propertiesOf }
}

/** Returns the fields of a message that JSON may contain: without cookies, If-Match and revocations. */
export function visibleFields(message: DescMessage): DescField[] {
  return message.fields.filter(field => !isHeaderField(field) && !isRevocation(field))
}

function keywordsOf(rules: Rules, kind: JsonKind): JsonSchema {
  const isText = kind === 'string'
  // In JSON a 64-bit number is a string, to which `minimum` and `maximum` do not apply.
  const isNumber = kind === 'int32' || kind === 'uint32' || kind === 'float' || kind === 'double'
  const format = FORMATS[rules.format]
  return {
    ...(isText && rules.minLength !== undefined && { minLength: rules.minLength }),
    ...(isText && rules.maxLength !== undefined && { maxLength: rules.maxLength }),
    ...(rules.pattern !== '' && { pattern: `^(?:${rules.pattern})$` }),
    ...(format && { format: format.jsonSchema }),
    ...(isNumber && rules.min !== undefined && { minimum: rules.min }),
    ...(isNumber && rules.max !== undefined && { maximum: rules.max }),
    ...(rules.in.length > 0 && { enum: rules.in }),
  }
}
