/**
 * Examples for the OpenAPI document, as ProtoJSON. An example comes from the contract (`edge.v1.example`,
 * `edge.v1.message_example`); otherwise it is derived from the name, the type, the comment and the rules of each field.
 */
import { type DescField, type DescMessage, fromJson } from '@bufbuild/protobuf'
import { exampleTextOf } from '#runtime/grpc/contract.ts'
import { compileRules } from '#runtime/grpc/rules.ts'
import { inlineOneof } from '../edge-fields.ts'
import { type JsonKind, type JsonSchema, kindOf, messageKind } from '../json-schema.ts'
import { isImmutable, isOutputOnly } from '../validation/field-behavior.ts'
import { validExample } from './example-rules.ts'
import { createValueExamples, type Json, mapKeys } from './example-values.ts'

/** Maximum number of messages in each other; optional fields of messages below are left out. */
const MAX_DEPTH = 4
/** Maximum number of values in one example; optional fields beyond it are left out. */
const MAX_VALUES = 60
/** Maximum number of entries of a list or map. A field whose rules require more has no example. */
const MAX_ENTRIES = 100
/** Maximum number of values and messages that are tried for one example, with those that rules require. */
const MAX_STEPS = 2000

/** Proto names of the fields from a message to one of its fields. */
type FieldPath = readonly string[]

/** @typeParam Place where a value occurs; `response`, or a part of a request. */
export interface Examples<Place extends string> {
  /**
   * Returns an example of a message.
   * @param bound fields that are not part of it. @returns `undefined` if a required field has no example.
   */
  ofMessage(message: DescMessage, place: Place, bound?: readonly FieldPath[]): Json | undefined
  /** Returns an example of a field; undefined if there is none. */
  ofField(field: DescField, place: Place): Json | undefined
}

export interface ExampleOptions<Place extends string> {
  /** Returns the schema of a field. */
  readonly schemaOf: (field: DescField, place: Place) => JsonSchema
  /** Returns the fields of a message that JSON may contain. */
  readonly fieldsOf: (message: DescMessage) => readonly DescField[]
  /** Whether a message must have the field. A message without an example of it has none either. */
  readonly isNeeded: (field: DescField, place: Place) => boolean
  /** Called once for each example of the contract that is not valid. @param name of the field or the message. */
  readonly onInvalid: (name: string, reason: string) => void
}

/** Where an example of a message is built: the messages around it, and how many more values and steps it may have. */
interface Surroundings {
  readonly messages: readonly DescMessage[]
  readonly budget: { values: number; steps: number }
}

export function createExamples<Place extends string>(options: ExampleOptions<Place>): Examples<Place> {
  const { schemaOf, fieldsOf, isNeeded, onInvalid } = options
  const valueExample = createValueExamples()
  const given = new Map<DescField | DescMessage, Json | undefined>()

  function givenBy(desc: DescField | DescMessage): Json | undefined {
    if (given.has(desc)) return given.get(desc)
    const text = exampleTextOf(desc)
    const parsed = text === undefined ? {} : desc.kind === 'field' ? parseField(desc, text) : parseMessage(desc, text)
    if (parsed.problem !== undefined) {
      onInvalid(desc.kind === 'field' ? `${desc.parent?.typeName}.${desc.name}` : desc.typeName, parsed.problem)
    }
    given.set(desc, parsed.value)
    return parsed.value
  }

  function messageExample(
    message: DescMessage,
    place: Place,
    bound: readonly FieldPath[],
    { messages, budget }: Surroundings,
  ): Json | undefined {
    const own = givenBy(message)
    if (own !== undefined) return withoutBound(own, message, bound)
    const inline = place === 'response' ? inlineOneof(message) : undefined
    const inner = { messages: [...messages, message], budget }
    if (inline !== undefined) return messageExample(inline.fields[0]?.message as DescMessage, place, [], inner)
    const example: Record<string, Json> = {}
    const takenOneofs = new Set<unknown>()
    for (const field of fieldsOf(message)) {
      if (bound.some(path => path.length === 1 && path[0] === field.name)) continue
      if (field.oneof !== undefined && takenOneofs.has(field.oneof)) continue
      const nested = bound.filter(([name]) => name === field.name).map(([, ...rest]) => rest)
      const mustHave = isNeeded(field, place)
      const value = budget.values > 0 || mustHave ? fieldExample(field, place, nested, inner) : undefined
      if (value !== undefined) example[field.jsonName] = value
      else if (mustHave) return undefined
      if (value !== undefined) takenOneofs.add(field.oneof)
    }
    return example
  }

  function fieldExample(
    field: DescField,
    place: Place,
    bound: readonly FieldPath[],
    inner: Surroundings,
  ): Json | undefined {
    const own = givenBy(field)
    if (own !== undefined) return own
    const schema = schemaOf(field, place)
    if (schema['readOnly'] === true && place !== 'response') return undefined
    if (field.fieldKind === 'list') {
      const count = countOf(schema, 'minItems', 'maxItems')
      if (count > MAX_ENTRIES) return undefined
      const entries = distinct(count, position => single(field, schema['items'] as JsonSchema, position))
      return entries ?? (count > 0 && schema['minItems'] !== undefined ? undefined : [])
    }
    if (field.fieldKind === 'map') {
      const count = countOf(schema, 'minProperties', 'maxProperties')
      if (count > MAX_ENTRIES) return undefined
      const keys = mapKeys(field, count)
      const values = keys.map(
        (key, at) => [key, single(field, schema['additionalProperties'] as JsonSchema, at)] as const,
      )
      if (values.every(([, value]) => value !== undefined)) return Object.fromEntries(values) as Json
      return schema['minProperties'] === undefined ? {} : undefined
    }
    return single(field, schema, 0)

    function single(entry: DescField, entrySchema: JsonSchema, position: number): Json | undefined {
      const { messages, budget } = inner
      if (budget.steps-- <= 0) return undefined
      const kind: JsonKind = kindOf(entry)
      if (kind === 'field-mask') return maskFor(entry)
      if (kind === 'message') {
        const message = entry.message as DescMessage
        const isTooDeep = messages.length >= MAX_DEPTH || messages.includes(message)
        return isTooDeep ? undefined : messageExample(message, place, bound, inner)
      }
      // Its type must be part of the contract of the upstream.
      if (kind === 'any' && place !== 'response') return undefined
      budget.values--
      const isRequest = place !== 'response'
      return valueExample(entry, entrySchema, isRequest, position) ?? valueExample(entry, entrySchema, isRequest, 0)
    }
  }

  /** Returns a mask with a field of the message beside the mask, as `updateMask` and `document` are. */
  function maskFor(mask: DescField): Json | undefined {
    const target = mask.parent?.fields.find(({ fieldKind, message }) => {
      return fieldKind === 'message' && message !== undefined && messageKind(message) === 'message'
    })
    const fields = target?.message === undefined ? [] : fieldsOf(target.message)
    const names = fields.filter(field => !isOutputOnly(field) && !isImmutable(field)).map(({ jsonName }) => jsonName)
    return names.find(name => /^[a-z]+(?:[A-Z][a-z]+)*$/.test(name))
  }

  const start = (): Surroundings => ({ messages: [], budget: { values: MAX_VALUES, steps: MAX_STEPS } })
  return {
    ofMessage(message, place, bound = []) {
      const example = messageExample(message, place, bound, start())
      if (example === undefined || place === 'response') return example
      const isHere = (field: DescField) => !bound.some(([name]) => name === field.name)
      return validExample(message, example, field => isNeeded(field, place), isHere) as Json | undefined
    },
    ofField: (field, place) => fieldExample(field, place, [], start()),
  }
}

/** Returns the number of entries of an example: one, within the bounds of the schema. */
function countOf(schema: JsonSchema, minimum: string, maximum: string): number {
  return Math.min(Math.max(1, Number(schema[minimum] ?? 0)), Number(schema[maximum] ?? Number.MAX_SAFE_INTEGER))
}

/** Returns undefined if an entry has no example. */
function distinct(count: number, entry: (position: number) => Json | undefined): Json[] | undefined {
  const entries: Json[] = []
  for (let position = 0; position < count; position++) {
    const value = entry(position)
    if (value === undefined) return undefined
    entries.push(value)
  }
  return entries
}

interface Parsed {
  readonly value?: Json
  readonly problem?: string
}

/** Kinds whose JSON is a string, which an example of the contract gives without quotation marks. */
const TEXTUAL: ReadonlySet<JsonKind> = new Set<JsonKind>([
  'string',
  'bytes',
  'enum',
  'int64',
  'uint64',
  'timestamp',
  'duration',
  'field-mask',
])

function parseField(field: DescField, text: string): Parsed {
  const isSingular = field.fieldKind !== 'list' && field.fieldKind !== 'map'
  const parsed = isSingular && TEXTUAL.has(kindOf(field)) ? { value: text } : parseJson(text)
  if (parsed.value === undefined) return parsed
  return check(field.parent as DescMessage, { [field.jsonName]: parsed.value }, parsed.value, field.jsonName)
}

function parseMessage(message: DescMessage, text: string): Parsed {
  const parsed = parseJson(text)
  return parsed.value === undefined ? parsed : check(message, parsed.value, parsed.value)
}

function parseJson(text: string): Parsed {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    return { problem: `is not JSON: ${(error as Error).message}` }
  }
}

/** @param only the field whose violations count. Default: all. */
function check(message: DescMessage, json: Json, value: Json, only?: string): Parsed {
  try {
    const violations = compileRules(message)(fromJson(message, json))
    const found = violations.find(({ field }) => only === undefined || field.startsWith(only))
    return found === undefined ? { value } : { problem: `${found.field} ${found.description}` }
  } catch (error) {
    return { problem: (error as Error).message }
  }
}

/** Removes the fields that are not part of a request body from an example of the contract. */
function withoutBound(example: Json, message: DescMessage, bound: readonly FieldPath[]): Json {
  const names = bound
    .filter(({ length }) => length === 1)
    .flatMap(([name]) => message.fields.find(field => field.name === name) ?? [])
  if (names.length === 0 || typeof example !== 'object' || example === null || Array.isArray(example)) return example
  const hidden = new Set(names.flatMap(({ jsonName, name }) => [jsonName, name]))
  return Object.fromEntries(Object.entries(example).filter(([name]) => !hidden.has(name)))
}
