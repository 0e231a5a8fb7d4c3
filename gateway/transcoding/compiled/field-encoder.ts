/** Compiles the encoder of a field: checks the field rules on a JSON value and writes it to the wire. */
import { type DescField, type DescMessage, type JsonValue, ScalarType } from '@bufbuild/protobuf'
import { FeatureSet_FieldPresence as FieldPresence } from '@bufbuild/protobuf/wkt'
import { compileFieldRules, type FieldRules } from '#runtime/grpc/rules.ts'
import { hasNull } from '../../contract/json-schema.ts'
import { fallBack } from './fallback.ts'
import { SCALAR_ENCODERS, type ScalarEncoder, scalarEncoder } from './scalar-encoders.ts'
import { DELIMITED } from './wire-reader.ts'
import type { WireWriter } from './wire-writer.ts'

/**
 * Writes the fields of a message, without the tag and length of the message itself.
 * @param depth nesting of the message; 1 for the request itself.
 */
export type MessageEncoder = (writer: WireWriter, json: JsonValue, depth: number) => void

export type EncoderOf = (schema: DescMessage) => MessageEncoder

/** The encoder of one field, and what the object encoder must know about the field. */
export interface FieldEncoder {
  readonly isRequired: boolean
  /** Whether null is a value of the field. For other fields null means unset. */
  readonly acceptsNull: boolean
  readonly write: FieldWriter
}

/** Writes tag and value. @param depth nesting of the message that contains the field. */
type FieldWriter = (writer: WireWriter, json: JsonValue, depth: number) => void

/** Compiles the encoder of a field. @throws ContractError if a rule does not apply to the type of the field. */
export function compileFieldEncoder(field: DescField, encoderOf: EncoderOf): FieldEncoder {
  const rules = compileFieldRules(field)
  const isSingular = field.fieldKind !== 'list' && field.fieldKind !== 'map'
  const acceptsNull = isSingular && hasNull(field)
  return { isRequired: rules.required, acceptsNull, write: compileWriter(field, rules, encoderOf) }
}

function compileWriter(field: DescField, rules: FieldRules, encoderOf: EncoderOf): FieldWriter {
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
      return scalar !== undefined && field.presence === FieldPresence.IMPLICIT
        ? implicitWriter(field.number, scalar, rules)
        : write
  }
}

function valueWriter(field: DescField, number: number, rules: FieldRules, encoderOf: EncoderOf): FieldWriter {
  const scalar = scalarEncoder(field)
  return scalar === undefined
    ? messageWriter(number, encoderOf(field.message as DescMessage))
    : scalarWriter(number, scalar, rules)
}

function messageWriter(number: number, encode: MessageEncoder): FieldWriter {
  const tag = ((number << 3) | DELIMITED) >>> 0
  return (writer, json, depth) => {
    writer.uint32(tag)
    const start = writer.open()
    encode(writer, json, depth + 1)
    writer.close(start)
  }
}

function scalarWriter(number: number, { wireType, parse, write }: ScalarEncoder, { isValid }: FieldRules): FieldWriter {
  const tag = ((number << 3) | wireType) >>> 0
  return (writer, json) => {
    const value = parse(json)
    if (isValid?.(value) === false) fallBack()
    writer.uint32(tag)
    write(writer, value)
  }
}

/** For a field with implicit presence: its zero value is not written, and does not satisfy `required`. */
function implicitWriter(number: number, scalar: ScalarEncoder, { isValid, required }: FieldRules): FieldWriter {
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

function packedWriter(tag: number, { parse, write }: ScalarEncoder, rules: FieldRules): FieldWriter {
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

function entriesOf(json: JsonValue, { minItems, maxItems }: FieldRules): readonly JsonValue[] {
  if (!Array.isArray(json)) fallBack()
  if (json.length < minItems || (maxItems !== undefined && json.length > maxItems)) fallBack()
  return json
}

/** For a map: each entry is a message with the key as field 1 and the value as field 2. */
function mapWriter(field: DescField & { fieldKind: 'map' }, rules: FieldRules, encoderOf: EncoderOf): FieldWriter {
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
