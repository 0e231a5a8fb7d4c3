/**
 * JSON Schemas of the OpenAPI document. They describe the recommended form of each value, with the field rules and
 * comments of the contract. Fields that travel as cookies or that the edge consumes are not included.
 *
 * A message has different schemas in requests and in responses. In a request, field rules apply, members that are not
 * fields are rejected, and null leaves a field unset. In a response, fields without presence are always present, and
 * clients must ignore members that they do not know.
 */
import { type DescField, type DescFile, type DescMessage, type DescOneof, toBinary } from '@bufbuild/protobuf'
import { FeatureSet_FieldPresence as FieldPresence, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { isHeaderField, rulesOf } from '#runtime/grpc/contract.ts'
import { inlineOneof, isRevocation } from '../edge-fields.ts'
import { createExamples, type Examples } from '../examples/examples.ts'
import { type JsonKind, type JsonSchema, kindOf, messageKind } from '../json-schema.ts'
import { commentOf } from '../proto-comments.ts'
import { ruleKeywords, sizeKeywords } from '../rule-keywords.ts'
import { createUniqueNames } from '../unique-names.ts'
import { onlyMessage, updateMaskOf } from '../update-mask.ts'
import { hasRequiredFields, isImmutable, isOutputOnly, isRequiredByBehavior } from '../validation/field-behavior.ts'
import {
  isRequiredByRules,
  isRequiredInRequests,
  validateKeywords,
  validateSizeKeywords,
} from '../validation/validate-keywords.ts'
import { isRequiredOneof, messageRulesOf, validateRulesOf } from '../validation/validate-options.ts'

// One type each, where possible: generators for Go do not read lists of types, other than with null. Bounds of a type
// are left to `format` if they make no useful example.
const PLAIN: Record<Exclude<JsonKind, 'enum' | 'message'>, JsonSchema> = {
  boolean: { type: 'boolean' },
  string: { type: 'string' },
  bytes: { type: 'string', contentEncoding: 'base64' },
  int32: { type: 'integer', format: 'int32' },
  uint32: { type: 'integer', format: 'int64', minimum: 0, maximum: 2 ** 32 - 1 },
  int64: { type: 'string', pattern: '^-?[0-9]+$' },
  uint64: { type: 'string', pattern: '^[0-9]+$' },
  float: { type: 'number', format: 'float' },
  double: { type: 'number', format: 'double' },
  timestamp: { type: 'string', format: 'date-time' },
  duration: { type: 'string', pattern: '^-?[0-9]+(\\.[0-9]+)?s$' },
  'field-mask': { type: 'string', pattern: '^([^,]+(,[^,]+)*)?$' },
  struct: { type: 'object', additionalProperties: true },
  'list-value': { type: 'array', items: {} },
  value: {},
  any: {
    type: 'object',
    required: ['@type'],
    properties: { '@type': { type: 'string' } },
    additionalProperties: true,
  },
}

const BINARY = { schema: { type: 'string', format: 'binary' } }

/**
 * The `content` member of a raw body (http-body.ts), which has any media type. Generators know `format: binary` from
 * OpenAPI 3.0; openapi-python-client (0.29) generates no method for a range of media types alone.
 */
export const RAW_CONTENT = { 'application/octet-stream': BINARY, '*/*': BINARY }

/**
 * Where a value occurs. Parameters of path and query are text, so they cannot be null. In the resource of an update with
 * a mask, REQUIRED fields may be absent: the mask names the fields that change.
 */
export type Place = 'parameter' | 'body' | 'update' | 'response'

/** Proto names of the fields from a message to one of its fields. */
type FieldPath = readonly string[]

/** The schemas of one document. Each message type has a schema under `components` for requests, and for responses. */
export interface OpenApiSchemas {
  /** Schemas by name, of all messages referred to so far. */
  readonly components: Readonly<Record<string, JsonSchema>>
  /** Returns a `$ref` to the schema of a message; for a well-known type the schema itself. */
  refTo(message: DescMessage, place: Place): JsonSchema
  /**
   * Returns the schema of a field with its comment and, in a request, its rules.
   * @param inside the place of the messages in the field. Default: `place`.
   */
  ofField(field: DescField, place: Place, inside?: Place): JsonSchema
  /** Examples that are valid by these schemas. */
  readonly examples: Examples<Place>
  /** Examples by name, for `components.examples`: those of all schemas passed to `sharedExamples` so far. */
  readonly exampleComponents: Readonly<Record<string, object>>
  /** Returns references to the examples of a schema under `components`. An inline oneof has one for each member. */
  sharedExamples(schema: string): Record<string, object>
  /** Returns the schema of a request message in a body. @param bound fields that are not part of the body. */
  ofBody(message: DescMessage, bound: readonly FieldPath[], place?: Place): JsonSchema
}

/** Names of the schemas that no message may have. */
const RESERVED = ['Problem']

/**
 * @param outputs the response messages of the document. Request schemas of the messages in them get another name.
 * @param onInvalidExample called for each example of the contract that is not valid.
 */
export function createOpenApiSchemas(
  outputs: Iterable<DescMessage>,
  onInvalidExample: (name: string, reason: string) => void = () => {},
): OpenApiSchemas {
  const components: Record<string, JsonSchema> = {}
  const exampleComponents: Record<string, object> = {}
  /** Names of the examples of a schema with several. */
  const labels = new Map<string, readonly string[]>()
  const names = createUniqueNames(RESERVED)
  const namesOf = {
    request: new Map<DescMessage, string>(),
    update: new Map<DescMessage, string>(),
    response: new Map<DescMessage, string>(),
  }
  const examples = createExamples<Place>({
    schemaOf: ofField,
    fieldsOf: visibleFields,
    isNeeded: (field, place) => (place === 'response' ? isAlwaysPresent(field) : isRequired(field, place)),
    onInvalid: onInvalidExample,
  })
  const canonical = createCanonical()
  for (const message of reachable(outputs)) {
    const known = canonical(message)
    if (!namesOf.response.has(known)) namesOf.response.set(known, names.take(known.typeName))
  }

  function refTo(type: DescMessage, place: Place): JsonSchema {
    const kind = messageKind(type)
    if (kind !== 'message') return PLAIN[kind]
    const message = canonical(type)
    // Only REQUIRED fields make a difference.
    if (place === 'update' && !hasRequiredFields(message)) return refTo(message, 'body')
    const known = place === 'response' || place === 'update' ? namesOf[place] : namesOf.request
    let name = known.get(message)
    if (name === undefined) {
      const suffix = place === 'update' ? '.Update' : namesOf.response.has(message) ? '.Input' : ''
      name = names.take(message.typeName + suffix)
      known.set(message, name)
    }
    if (components[name] === undefined) {
      // Set before the fields are visited, so that recursive messages terminate.
      components[name] = {}
      components[name] = describe(message, place)
      const inline = inlineOneof(message)
      if (inline !== undefined)
        labels.set(
          name,
          inline.fields.map(field => field.message?.name ?? field.name),
        )
    }
    return { $ref: `#/components/schemas/${name}` }
  }

  function describe(message: DescMessage, place: Place): JsonSchema {
    const description = join(commentOf(message), place === 'response' ? [] : ruleMessages(messageRulesOf(message)))
    const inline = inlineOneof(message)
    const content =
      place !== 'response'
        ? ofBody(message, [], place)
        : inline === undefined
          ? ofResponse(message)
          : { [alternatives(inline)]: inline.fields.map(field => refTo(field.message as DescMessage, place)) }
    // One example for each member of an inline oneof.
    const shown = place === 'response' && inline !== undefined ? inline.fields.map(field => field.message) : [message]
    const values = shown.flatMap(shape => examples.ofMessage(shape as DescMessage, place) ?? [])
    return { ...content, ...(description && { description }), ...(values.length > 0 && { examples: values }) }
  }

  function sharedExamples(schema: string): Record<string, object> {
    const values = (components[schema]?.['examples'] ?? []) as readonly unknown[]
    const refs = values.map((value, at) => {
      const label = labels.get(schema)?.[at] ?? 'Example'
      const name = values.length === 1 ? schema : `${schema}.${label}`
      exampleComponents[name] = { summary: label, value }
      return [label, { $ref: `#/components/examples/${name}` }] as const
    })
    return Object.fromEntries(refs)
  }

  function ofResponse(message: DescMessage): JsonSchema {
    const fields = visibleFields(message)
    const required = fields.filter(isAlwaysPresent).map(field => field.jsonName)
    return {
      type: 'object',
      properties: Object.fromEntries(fields.map(field => [field.jsonName, ofField(field, 'response')])),
      ...(required.length > 0 && { required }),
    }
  }

  function ofBody(message: DescMessage, bound: readonly FieldPath[], place: Place = 'body'): JsonSchema {
    const resource = updatedResource(message)
    const fields = visibleFields(message).filter(
      field => !bound.some(path => path.length === 1 && path[0] === field.name),
    )
    const properties = fields.map(field => {
      const nested = bound.filter(([name]) => name === field.name).map(([, ...rest]) => rest)
      const inside = field === resource ? 'update' : place
      const schema = nested.length === 0 ? ofField(field, place, inside) : ofPartlyBound(field, nested, inside)
      return [field.jsonName, schema] as const
    })
    const required = fields.filter(field => isRequired(field, place)).map(field => field.jsonName)
    const exclusive = exclusivePairs(message.oneofs, fields)
    const choices = requiredChoices(message, fields)
    return {
      type: 'object',
      properties: Object.fromEntries(properties),
      ...(required.length > 0 && { required }),
      ...(exclusive.length > 0 && { not: exclusive.length === 1 ? exclusive[0] : { anyOf: exclusive } }),
      ...(choices.length === 1 ? choices[0] : choices.length > 1 && { allOf: choices }),
      additionalProperties: false,
    }
  }

  function ofPartlyBound(field: DescField, bound: readonly FieldPath[], place: Place): JsonSchema {
    const description = commentOf(field)
    const schema = ofBody(field.message as DescMessage, bound, place)
    return { ...nullable(schema), ...(description && { description }) }
  }

  function ofField(field: DescField, place: Place, inside = place): JsonSchema {
    const isRequest = place !== 'response'
    const rules = isRequest ? rulesOf(field) : undefined
    const description = join(commentOf(field), isRequest ? notesOf(field) : [])
    const value = ofValue(field, inside)
    const isDemanded = place !== 'update' && isRequiredByBehavior(field)
    const single = {
      ...value,
      ...(rules && ruleKeywords(field, rules)),
      // A reference to a message stands alone.
      ...(isRequest && value['$ref'] === undefined && validateKeywords(field, isDemanded)),
    }
    const size = isRequest
      ? { ...(rules && sizeKeywords(field, rules)), ...validateSizeKeywords(field, isDemanded) }
      : {}
    const schema: JsonSchema =
      field.fieldKind === 'list'
        ? { type: 'array', items: single, ...size }
        : field.fieldKind === 'map'
          ? { type: 'object', additionalProperties: single, ...size }
          : single
    const isBody = place === 'body' || place === 'update'
    const accepted = isBody && !isRequired(field, place) ? nullable(schema) : schema
    return { ...accepted, ...(isOutputOnly(field) && { readOnly: true }), ...(description && { description }) }
  }

  function ofValue(field: DescField, place: Place): JsonSchema {
    if (field.enum?.typeName === 'google.protobuf.NullValue') return { type: 'null' }
    if (field.enum !== undefined) return { type: 'string', enum: field.enum.values.map(value => value.name) }
    if (field.message !== undefined) return refTo(field.message, place)
    const kind = kindOf(field)
    return kind === 'enum' || kind === 'message' ? {} : PLAIN[kind]
  }

  return { components, examples, exampleComponents, sharedExamples, refTo, ofField, ofBody }
}

/** Returns the fields of a message that JSON may contain: without cookies, If-Match and revocations. */
export function visibleFields(message: DescMessage): DescField[] {
  return message.fields.filter(field => !isHeaderField(field) && !isRevocation(field))
}

/** Whether a request must set the field. */
export function isRequired(field: DescField, place: Place = 'body'): boolean {
  const isRequiredHere = place === 'update' ? isRequiredByRules(field) : isRequiredInRequests(field)
  return isRequiredHere || (rulesOf(field)?.required ?? false)
}

/** Returns the resource of a request with an update mask. */
function updatedResource(message: DescMessage): DescField | undefined {
  return updateMaskOf(message) && onlyMessage(message)
}

/** Returns the sentences that describe what JSON Schema cannot say of a field in a request. */
function notesOf(field: DescField): string[] {
  return [
    ...(isOutputOnly(field) ? ['Set by the service; ignored in requests.'] : []),
    ...(isImmutable(field) ? ['Set when the resource is created, and never changed.'] : []),
    ...(isOutputOnly(field) ? [] : ruleMessages(validateRulesOf(field))),
  ]
}

/** Returns the messages of CEL rules, as sentences. */
function ruleMessages(rules: { readonly cel: readonly { readonly message: string }[] } | undefined): string[] {
  const messages = rules?.cel.map(({ message }) => message).filter(message => message !== '') ?? []
  return messages.length === 0 ? [] : [`Rules: ${messages.join('; ')}.`]
}

function join(comment: string | undefined, notes: readonly string[]): string | undefined {
  return notes.length === 0 ? comment : [...(comment ? [comment] : []), ...notes].join(' ')
}

/** Returns a schema for each oneof that must have a member, which is valid if one is present. */
function requiredChoices(message: DescMessage, fields: readonly DescField[]): JsonSchema[] {
  const oneofs = message.oneofs.filter(isRequiredOneof).map(oneof => oneof.fields)
  const rules = messageRulesOf(message)?.oneof.filter(({ required }) => required) ?? []
  const named = rules.map(rule => message.fields.filter(({ name }) => rule.fields.includes(name)))
  return [...oneofs, ...named]
    .filter(members => members.every(member => fields.includes(member)))
    .map(members => ({ anyOf: members.map(({ jsonName }) => ({ required: [jsonName] })) }))
}

/** ProtoJSON of a response omits only fields that have presence and are unset. */
function isAlwaysPresent(field: DescField): boolean {
  return field.fieldKind === 'list' || field.fieldKind === 'map' || field.presence === FieldPresence.IMPLICIT
}

/** Returns the schema that also accepts null, which leaves a field unset in ProtoJSON. */
function nullable(schema: JsonSchema): JsonSchema {
  if (schema['$ref'] !== undefined) return { anyOf: [schema, { type: 'null' }] }
  if (typeof schema['type'] !== 'string' || schema['type'] === 'null') return schema
  const values = schema['enum'] as readonly unknown[] | undefined
  return { ...schema, type: [schema['type'], 'null'], ...(values && { enum: [...values, null] }) }
}

/** Returns a schema for each two fields of a oneof, which is valid if both are present. */
function exclusivePairs(oneofs: readonly DescOneof[], fields: readonly DescField[]): JsonSchema[] {
  return oneofs.flatMap(oneof => {
    const members = fields.filter(field => field.oneof === oneof).map(({ jsonName }) => jsonName)
    return members.flatMap((first, at) =>
      // Redocly warns of required properties that the same schema does not name.
      members.slice(at + 1).map(second => ({ properties: { [first]: {}, [second]: {} }, required: [first, second] })),
    )
  })
}

/** `oneOf` if the JSON of each member has a property that the others never have, else `anyOf`. */
function alternatives({ fields }: DescOneof): 'oneOf' | 'anyOf' {
  const members = fields.map(field => visibleFields(field.message as DescMessage))
  const isDistinct = members.every(member =>
    members.every(
      other =>
        other === member ||
        member.some(field => isAlwaysPresent(field) && !other.some(candidate => candidate.jsonName === field.jsonName)),
    ),
  )
  return isDistinct ? 'oneOf' : 'anyOf'
}

/**
 * Returns a function that maps each message to the first one with its name and the same file. Upstreams whose images have
 * files in common bring equal descriptors of them.
 */
function createCanonical(): (message: DescMessage) => DescMessage {
  const byName = new Map<string, DescMessage[]>()
  const bytes = new Map<DescFile, string>()

  function bytesOf(file: DescFile): string {
    let text = bytes.get(file)
    if (text === undefined) {
      const parts = [file, ...file.dependencies].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto))
      text = Buffer.concat(parts).toString('latin1')
      bytes.set(file, text)
    }
    return text
  }

  return message => {
    const known = byName.get(message.typeName) ?? []
    byName.set(message.typeName, known)
    const same = known.find(({ file }) => file === message.file || bytesOf(file) === bytesOf(message.file))
    if (same === undefined) known.push(message)
    return same ?? message
  }
}

function* reachable(messages: Iterable<DescMessage>, seen = new Set<DescMessage>()): Iterable<DescMessage> {
  for (const message of messages) {
    if (seen.has(message) || messageKind(message) !== 'message') continue
    seen.add(message)
    yield message
    yield* reachable(
      visibleFields(message).flatMap(field => field.message ?? []),
      seen,
    )
  }
}
