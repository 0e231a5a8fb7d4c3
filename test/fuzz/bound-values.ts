/**
 * The values that a request gives for fields of its message, each read by @bufbuild/protobuf alone. Each of them must be in
 * the message that the binder makes of the request.
 */
import { deepEqual } from 'node:assert/strict'
import type { Message } from '@bufbuild/protobuf'
import {
  type DescField,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  type Registry,
  ScalarType,
  toBinary,
  toJson,
} from '@bufbuild/protobuf'
import type { Route } from '../../gateway/contract/route-table.ts'
import type { RequestInput } from '../../gateway/transcoding/codec.ts'

interface GivenValue {
  readonly fields: readonly DescField[]
  readonly json: JsonValue
}

/** @throws AssertionError if a value of the request is missing in the message, or differs. @returns the number of values. */
export function assertNothingDropped(route: Route, input: RequestInput, message: Message, registry: Registry): number {
  const schema = route.descriptor.input
  const given = [...pathValues(route, input), ...queryValues(schema, input.query), ...bodyValues(route, input.body)]
  const actual = toJson(schema, message, { alwaysEmitImplicit: true, registry })
  for (const { fields, json } of given) {
    const wrapped = fields.reduceRight((inner: JsonValue, field) => ({ [field.jsonName]: inner }), json)
    // By the wire, which rounds a float.
    const bytes = toBinary(schema, fromJson(schema, wrapped, { registry }))
    const alone = toJson(schema, fromBinary(schema, bytes), { alwaysEmitImplicit: true, registry })
    deepEqual(valueAt(actual, fields), valueAt(alone, fields), fields.map(({ name }) => name).join('.'))
  }
  return given.length
}

function valueAt(json: JsonValue, fields: readonly DescField[]): JsonValue | undefined {
  let current: JsonValue | undefined = json
  for (const { jsonName } of fields) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, jsonName)) return undefined
    current = (current as Record<string, JsonValue>)[jsonName]
  }
  return current
}

function fieldNamed(message: DescMessage | undefined, name: string): DescField | undefined {
  return message?.fields.find(field => field.name === name || field.jsonName === name)
}

function fieldsNamed(message: DescMessage, names: readonly string[]): DescField[] {
  const fields: DescField[] = []
  let current: DescMessage | undefined = message
  for (const name of names) {
    const field = fieldNamed(current, name)
    if (field === undefined) throw new Error(`the binder has accepted the unknown field ${names.join('.')}`)
    fields.push(field)
    current = field.message
  }
  return fields
}

function pathValues({ template, descriptor }: Route, input: RequestInput): GivenValue[] {
  return template.variables.map(({ fieldPath }, index) => {
    const fields = fieldsNamed(descriptor.input, fieldPath)
    return { fields, json: textJson(fields.at(-1) as DescField, input.pathValues[index] ?? '') }
  })
}

/** Parameters of one field are one value, whatever they name it by. */
function queryValues(message: DescMessage, query: string): GivenValue[] {
  const parameters = [...new URLSearchParams(query)]
    .filter(([name]) => name !== '$alt')
    .map(([name, text]) => {
      const isOwnName = message.fields.some(field => field.jsonName === name)
      return { fields: fieldsNamed(message, isOwnName ? [name] : name.split('.')), text }
    })
  const pathOf = (fields: readonly DescField[]) => fields.map(({ number }) => number).join('.')
  return [...Map.groupBy(parameters, ({ fields }) => pathOf(fields)).values()].map(own => {
    const { fields } = own[0] as (typeof own)[number]
    const field = fields.at(-1) as DescField
    const values = own.map(({ text }) => textJson(field, text))
    return { fields, json: field.fieldKind === 'list' ? values : (values[0] ?? null) }
  })
}

const BOOL = 'google.protobuf.BoolValue'

function textJson(field: DescField, text: string): JsonValue {
  if (field.enum !== undefined && /^-?\d+$/.test(text)) return Number(text)
  const isBool = field.message === undefined ? field.scalar === ScalarType.BOOL : field.message.typeName === BOOL
  return isBool && (text === 'true' || text === 'false') ? text === 'true' : text
}

function bodyValues({ body: binding, descriptor }: Route, body: Uint8Array | undefined): GivenValue[] {
  if (body === undefined || body.length === 0 || binding.kind === 'none') return []
  const json = JSON.parse(Buffer.from(body).toString()) as JsonValue
  if (binding.kind === 'field') return valuesIn(binding.field, json, [])
  return membersOf(descriptor.input, json, [])
}

function membersOf(message: DescMessage, json: JsonValue, parents: readonly DescField[]): GivenValue[] {
  return Object.entries(json as object).flatMap(([name, value]) => {
    const field = fieldNamed(message, name)
    if (field === undefined) throw new Error(`the binder has accepted the unknown member ${name}`)
    return valuesIn(field, value, parents)
  })
}

/** Null leaves a field unset. Members of nested messages are values of their own, as the query may give others. */
function valuesIn(field: DescField, json: JsonValue, parents: readonly DescField[]): GivenValue[] {
  const fields = [...parents, field]
  const isNullValue =
    field.enum?.typeName === 'google.protobuf.NullValue' || field.message?.typeName === 'google.protobuf.Value'
  if (json === null && !isNullValue) return []
  // Numbers that JSON.parse rounds are compared by the tests of the codecs.
  if (typeof json === 'number' && !Number.isSafeInteger(json)) return []
  const isPlain = field.fieldKind === 'message' && !field.message.typeName.startsWith('google.protobuf.')
  return isPlain ? membersOf(field.message, json, fields) : [{ fields, json }]
}
