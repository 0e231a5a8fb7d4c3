/** Writes a field from its JSON to the wire, if its rules allow the value. */
import { type DescField, type DescMessage, type JsonValue, ScalarType } from '@bufbuild/protobuf'
import { compileFieldRules, type FieldRules } from '#runtime/grpc/rules.ts'
import { fallBack } from './fallback.ts'
import { SCALAR_ENCODERS, type ScalarEncoder, scalarEncoder } from './scalar-encoders.ts'
import { DELIMITED } from './wire-reader.ts'
import type { WireWriter } from './wire-writer.ts'

/**
 * Writes the fields of a message, without tag and length.
 * @param depth of the message itself; the outermost's is 1.
 */
export type MessageEncoder = (writer: WireWriter, json: JsonValue, depth: number) => void

export type EncoderOf = (schema: DescMessage) => MessageEncoder

export interface FieldEncoder {
  readonly isRequired: boolean
  /** Whether null is a value, and not the absence of one. */
  readonly takesNull: boolean
  readonly write: ValueEncoder
}

/** @param depth of the message that the field stands in. */
type ValueEncoder = (writer: WireWriter, json: JsonValue, depth: number) => void

export function compileFieldEncoder(field: DescField, encoderOf: EncoderOf): FieldEncoder {
  const rules = compileFieldRules(field)
  const isSingle = field.fieldKind !== 'list' && field.fieldKind !== 'map'
  const takesNull = isSingle && NULL_TYPES.has((field.message ?? field.enum)?.typeName ?? '')
  return { isRequired: rules.required, takesNull, write: compileWriter(field, rules, encoderOf) }
}

const NULL_TYPES = new Set(['google.protobuf.Value', 'google.protobuf.NullValue'])

function compileWriter(field: DescField, rules: FieldRules, encoderOf: EncoderOf): ValueEncoder {
  const tag = ((field.number << 3) | DELIMITED) >>> 0
  const scalar = scalarEncoder(field)
  if (field.message === undefined && scalar === undefined) return fallBack
  const write = valueWriter(field, field.number, rules, encoderOf)
  switch (field.fieldKind) {
    case 'map':
      return mapWriter(field, rules, encoderOf)
    case 'list':
      return scalar !== undefined && field.packed
        ? packedWriter(tag, scalar, rules)
        : (writer, json, depth) => {
            for (const value of entriesOf(json, rules)) write(writer, value, depth)
          }
    default:
      return scalar !== undefined && field.presence === IMPLICIT ? implicitWriter(field.number, scalar, rules) : write
  }
}

// google.protobuf.FeatureSet.FieldPresence.IMPLICIT
const IMPLICIT = 2

/** Of one value, with its tag. */
function valueWriter(field: DescField, number: number, rules: FieldRules, encoderOf: EncoderOf): ValueEncoder {
  const scalar = scalarEncoder(field)
  return scalar === undefined
    ? messageWriter(number, encoderOf(field.message as DescMessage))
    : scalarWriter(number, scalar, rules)
}

function messageWriter(number: number, write: MessageEncoder): ValueEncoder {
  const tag = ((number << 3) | DELIMITED) >>> 0
  return (writer, json, depth) => {
    writer.uint32(tag)
    const start = writer.open()
    write(writer, json, depth + 1)
    writer.close(start)
  }
}

function scalarWriter(
  number: number,
  { wireType, parse, write }: ScalarEncoder,
  { isValid }: FieldRules,
): ValueEncoder {
  const tag = ((number << 3) | wireType) >>> 0
  return (writer, json) => {
    const value = parse(json)
    if (isValid?.(value) === false) fallBack()
    writer.uint32(tag)
    write(writer, value)
  }
}

/** Of a field without presence: its zero is as good as nothing. */
function implicitWriter(number: number, scalar: ScalarEncoder, { isValid, required }: FieldRules): ValueEncoder {
  const { wireType, parse, isZero, write } = scalar
  const tag = ((number << 3) | wireType) >>> 0
  return (writer, json) => {
    const value = parse(json)
    if (isZero(value)) return required ? fallBack() : undefined
    if (isValid?.(value) === false) fallBack()
    writer.uint32(tag)
    write(writer, value)
  }
}

function packedWriter(tag: number, { parse, write }: ScalarEncoder, rules: FieldRules): ValueEncoder {
  return (writer, json) => {
    const entries = entriesOf(json, rules)
    if (entries.length === 0) return
    writer.uint32(tag)
    const start = writer.open()
    for (const entry of entries) {
      const value = parse(entry)
      if (rules.isValid?.(value) === false) fallBack()
      write(writer, value)
    }
    writer.close(start)
  }
}

function entriesOf(json: JsonValue, { required, maxItems }: FieldRules): readonly JsonValue[] {
  if (!Array.isArray(json)) fallBack()
  if ((required && json.length === 0) || (maxItems !== undefined && json.length > maxItems)) fallBack()
  return json
}

/** An entry is a message of its own, with the key and the value as its fields 1 and 2. */
function mapWriter(field: DescField & { fieldKind: 'map' }, rules: FieldRules, encoderOf: EncoderOf): ValueEncoder {
  const tag = ((field.number << 3) | DELIMITED) >>> 0
  const writeKey = scalarWriter(1, SCALAR_ENCODERS[field.mapKey], { ...rules, isValid: undefined })
  const writeValue = valueWriter(field, 2, rules, encoderOf)
  const isBoolKey = field.mapKey === ScalarType.BOOL
  return (writer, json, depth) => {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) fallBack()
    const keys = entriesOf(Object.keys(json), rules) as readonly string[]
    for (const key of keys) {
      writer.uint32(tag)
      const start = writer.open()
      writeKey(writer, isBoolKey ? key === 'true' || (key === 'false' ? false : key) : key, depth)
      writeValue(writer, json[key] as JsonValue, depth)
      writer.close(start)
    }
  }
}
