/** Compiles the encoder of a field: checks the field rules on a JSON value and writes it to the wire. */
import { type DescField, type DescMessage, type FileRegistry, type JsonValue, ScalarType } from '@bufbuild/protobuf'
import { FeatureSet_FieldPresence as FieldPresence } from '@bufbuild/protobuf/wkt'
import { hasNull } from '../../contract/json-schema.ts'
import { compileEncoderRules, type EncoderRules } from './encoder-rules.ts'
import { fallBack } from './fallback.ts'
import { SCALAR_ENCODERS, type ScalarEncoder, scalarEncoder } from './scalar-encoders.ts'
import { DELIMITED } from './wire-reader.ts'
import type { WireWriter } from './wire-writer.ts'

/**
 * Writes the fields of a message, without the tag and length of the message itself.
 * @param depth nesting of the message; 1 for the request itself.
 */
export type MessageEncoder = (writer: WireWriter, json: JsonValue, depth: number) => void

/** What encoders of message types are compiled with. */
export interface EncoderContext {
  /** The types of the contract. */
  readonly registry: FileRegistry
  readonly encoderOf: (schema: DescMessage) => MessageEncoder
}

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
export function compileFieldEncoder(field: DescField, context: EncoderContext): FieldEncoder {
  const rules = compileEncoderRules(field, context.registry)
  const isSingular = field.fieldKind !== 'list' && field.fieldKind !== 'map'
  const acceptsNull = isSingular && hasNull(field)
  const write = compileWriter(field, rules, context)
  return { isRequired: rules.required, acceptsNull, write: rules.isOutputOnly ? discarding(write, rules) : write }
}

/** Parses the value and writes nothing: the field is OUTPUT_ONLY. */
function discarding(write: FieldWriter, { required }: EncoderRules): FieldWriter {
  // Such a field is never set.
  if (required) return fallBack
  return (writer, json, depth) => {
    const { length } = writer
    write(writer, json, depth)
    writer.truncate(length)
  }
}

function compileWriter(field: DescField, rules: EncoderRules, context: EncoderContext): FieldWriter {
  const scalar = scalarEncoder(field)
  if (field.message === undefined && scalar === undefined) return fallBack
  const write = valueWriter(field, field.number, rules, context)
  switch (field.fieldKind) {
    case 'map':
      return mapWriter(field, rules, context)
    case 'list':
      return withUniqueEntries(rules, scalar, listWriter(field, rules, scalar, write))
    default:
      return scalar !== undefined && field.presence === FieldPresence.IMPLICIT
        ? implicitWriter(field.number, scalar, rules)
        : write
  }
}

function listWriter(
  field: DescField & { fieldKind: 'list' },
  rules: EncoderRules,
  scalar: ScalarEncoder | undefined,
  write: FieldWriter,
): FieldWriter {
  if (scalar !== undefined && field.packed) return packedWriter(((field.number << 3) | DELIMITED) >>> 0, scalar, rules)
  return (writer, json, depth) => {
    for (const value of entriesOf(json, rules)) write(writer, value, depth)
  }
}

function withUniqueEntries(
  { isUnique }: EncoderRules,
  scalar: ScalarEncoder | undefined,
  write: FieldWriter,
): FieldWriter {
  if (!isUnique || scalar === undefined) return write
  return (writer, json, depth) => {
    if (!Array.isArray(json)) fallBack()
    if (new Set(json.map(entry => comparable(scalar.parse(entry), scalar))).size < json.length) fallBack()
    write(writer, json, depth)
  }
}

/** Returns a value that a Set compares as the rule `unique` does. */
function comparable(value: unknown, scalar: ScalarEncoder): unknown {
  if (scalar === SCALAR_ENCODERS[ScalarType.FLOAT]) return Math.fround(value as number)
  return Buffer.isBuffer(value) ? value.toString('latin1') : value
}

function valueWriter(field: DescField, number: number, rules: EncoderRules, context: EncoderContext): FieldWriter {
  const scalar = scalarEncoder(field)
  return scalar === undefined
    ? messageWriter(number, context.encoderOf(field.message as DescMessage), rules)
    : scalarWriter(number, scalar, rules)
}

function messageWriter(number: number, encode: MessageEncoder, { isValidMessage }: EncoderRules): FieldWriter {
  const write = plainMessageWriter(number, encode)
  if (isValidMessage === undefined) return write
  return (writer, json, depth) => {
    if (!isValidMessage(json)) fallBack()
    write(writer, json, depth)
  }
}

function plainMessageWriter(number: number, encode: MessageEncoder): FieldWriter {
  const tag = ((number << 3) | DELIMITED) >>> 0
  return (writer, json, depth) => {
    writer.uint32(tag)
    const start = writer.open()
    encode(writer, json, depth + 1)
    writer.close(start)
  }
}

function scalarWriter(
  number: number,
  { wireType, parse, write }: ScalarEncoder,
  { isValid }: EncoderRules,
): FieldWriter {
  const tag = ((number << 3) | wireType) >>> 0
  return (writer, json) => {
    const value = parse(json)
    if (isValid?.(value) === false) fallBack()
    writer.uint32(tag)
    write(writer, value)
  }
}

/** For a field with implicit presence: its zero value is not written, and does not satisfy `required`. */
function implicitWriter(number: number, scalar: ScalarEncoder, { isValid, required }: EncoderRules): FieldWriter {
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

function packedWriter(tag: number, { parse, write }: ScalarEncoder, rules: EncoderRules): FieldWriter {
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

function entriesOf(json: JsonValue, { minItems, maxItems }: EncoderRules): readonly JsonValue[] {
  if (!Array.isArray(json)) fallBack()
  if (json.length < minItems || json.length > maxItems) fallBack()
  return json
}

/** For a map: each entry is a message with the key as field 1 and the value as field 2. */
function mapWriter(field: DescField & { fieldKind: 'map' }, rules: EncoderRules, context: EncoderContext): FieldWriter {
  const tag = ((field.number << 3) | DELIMITED) >>> 0
  const writeKey = scalarWriter(1, SCALAR_ENCODERS[field.mapKey], { ...rules, isValid: rules.isValidKey })
  const writeValue = valueWriter(field, 2, rules, context)
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
