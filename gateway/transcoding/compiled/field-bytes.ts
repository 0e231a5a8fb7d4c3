/** Writes a field from its JSON to the wire, if its rules allow the value. */
import { type DescField, type DescMessage, type JsonValue, ScalarType } from '@bufbuild/protobuf'
import { compileFieldRules, type FieldRules } from '#runtime/grpc/rules.ts'
import type { BytesOf, MessageBytes } from './object-bytes.ts'
import { SCALAR_BYTES, type ScalarBytes, scalarBytes } from './scalar-bytes.ts'
import { unsure } from './unsure.ts'
import type { WireSink } from './wire-sink.ts'
import { DELIMITED } from './wire-source.ts'

export interface FieldBytes {
  readonly isRequired: boolean
  /** Whether null is a value, and not the absence of one. */
  readonly takesNull: boolean
  readonly write: FieldWriter
}

/** @param depth of the message that the field stands in. */
type FieldWriter = (sink: WireSink, json: JsonValue, depth: number) => void

export function compileFieldBytes(field: DescField, bytesOf: BytesOf): FieldBytes {
  const rules = compileFieldRules(field)
  const isSingle = field.fieldKind !== 'list' && field.fieldKind !== 'map'
  const takesNull = isSingle && NULL_TYPES.has((field.message ?? field.enum)?.typeName ?? '')
  return { isRequired: rules.required, takesNull, write: compileWriter(field, rules, bytesOf) }
}

const NULL_TYPES = new Set(['google.protobuf.Value', 'google.protobuf.NullValue'])

function compileWriter(field: DescField, rules: FieldRules, bytesOf: BytesOf): FieldWriter {
  const tag = ((field.number << 3) | DELIMITED) >>> 0
  const scalar = scalarBytes(field)
  if (field.message === undefined && scalar === undefined) return unsure
  const write = valueWriter(field, field.number, rules, bytesOf)
  switch (field.fieldKind) {
    case 'map':
      return mapWriter(field, rules, bytesOf)
    case 'list':
      return scalar !== undefined && field.packed
        ? packedWriter(tag, scalar, rules)
        : (sink, json, depth) => {
            for (const value of entriesOf(json, rules)) write(sink, value, depth)
          }
    default:
      return scalar !== undefined && field.presence === IMPLICIT ? implicitWriter(field.number, scalar, rules) : write
  }
}

// google.protobuf.FeatureSet.FieldPresence.IMPLICIT
const IMPLICIT = 2

/** Of one value, with its tag. */
function valueWriter(field: DescField, number: number, rules: FieldRules, bytesOf: BytesOf): FieldWriter {
  const scalar = scalarBytes(field)
  return scalar === undefined
    ? messageWriter(number, bytesOf(field.message as DescMessage))
    : scalarWriter(number, scalar, rules)
}

function messageWriter(number: number, write: MessageBytes): FieldWriter {
  const tag = ((number << 3) | DELIMITED) >>> 0
  return (sink, json, depth) => {
    sink.uint32(tag)
    const start = sink.open()
    write(sink, json, depth + 1)
    sink.close(start)
  }
}

function scalarWriter(number: number, { wireType, parse, write }: ScalarBytes, { isValid }: FieldRules): FieldWriter {
  const tag = ((number << 3) | wireType) >>> 0
  return (sink, json) => {
    const value = parse(json)
    if (isValid?.(value) === false) unsure()
    sink.uint32(tag)
    write(sink, value)
  }
}

/** Of a field without presence: its zero is as good as nothing. */
function implicitWriter(number: number, scalar: ScalarBytes, { isValid, required }: FieldRules): FieldWriter {
  const { wireType, parse, isZero, write } = scalar
  const tag = ((number << 3) | wireType) >>> 0
  return (sink, json) => {
    const value = parse(json)
    if (isZero(value)) return required ? unsure() : undefined
    if (isValid?.(value) === false) unsure()
    sink.uint32(tag)
    write(sink, value)
  }
}

function packedWriter(tag: number, { parse, write }: ScalarBytes, rules: FieldRules): FieldWriter {
  return (sink, json) => {
    const entries = entriesOf(json, rules)
    if (entries.length === 0) return
    sink.uint32(tag)
    const start = sink.open()
    for (const entry of entries) {
      const value = parse(entry)
      if (rules.isValid?.(value) === false) unsure()
      write(sink, value)
    }
    sink.close(start)
  }
}

function entriesOf(json: JsonValue, { required, maxItems }: FieldRules): readonly JsonValue[] {
  if (!Array.isArray(json)) unsure()
  if ((required && json.length === 0) || (maxItems !== undefined && json.length > maxItems)) unsure()
  return json
}

/** An entry is a message of its own, with the key and the value as its fields 1 and 2. */
function mapWriter(field: DescField & { fieldKind: 'map' }, rules: FieldRules, bytesOf: BytesOf): FieldWriter {
  const tag = ((field.number << 3) | DELIMITED) >>> 0
  const writeKey = scalarWriter(1, SCALAR_BYTES[field.mapKey], { ...rules, isValid: undefined })
  const writeValue = valueWriter(field, 2, rules, bytesOf)
  const isBoolKey = field.mapKey === ScalarType.BOOL
  return (sink, json, depth) => {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) unsure()
    const keys = entriesOf(Object.keys(json), rules) as readonly string[]
    for (const key of keys) {
      sink.uint32(tag)
      const start = sink.open()
      writeKey(sink, isBoolKey ? key === 'true' || (key === 'false' ? false : key) : key, depth)
      writeValue(sink, json[key] as JsonValue, depth)
      sink.close(start)
    }
  }
}
