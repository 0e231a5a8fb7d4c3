/** Decoders of scalars and enums to JSON text (protobuf.dev, "ProtoJSON Format", table "JSON mapping"). */
import { type DescEnum, type DescField, ScalarType } from '@bufbuild/protobuf'
import { fallBack } from './fallback.ts'
import { BIT32, BIT64, DELIMITED, VARINT, type WireReader } from './wire-reader.ts'

/** Reads a scalar or enum value from the wire as JSON text. */
export interface ScalarDecoder {
  readonly wireType: number
  /**
   * Returns the JSON text of one value, without quotes. A value that is not length-delimited ignores `end`; the
   * reader's position is then after the value.
   */
  readonly read: (reader: WireReader, start: number, end: number) => string
  /** The quotes around the text in JSON. */
  readonly quote: '' | '"'
  /** The text of the default value, without quotes. */
  readonly zero: string
}

export const SCALAR_DECODERS: Record<ScalarType, ScalarDecoder> = {
  [ScalarType.BOOL]: { wireType: VARINT, read: boolText, quote: '', zero: 'false' },
  [ScalarType.STRING]: {
    wireType: DELIMITED,
    read: (reader, start, end) => reader.escapedString(start, end),
    quote: '"',
    zero: '',
  },
  [ScalarType.BYTES]: {
    wireType: DELIMITED,
    read: (reader, start, end) => reader.base64(start, end),
    quote: '"',
    zero: '',
  },
  [ScalarType.INT32]: number(VARINT, (reader, start) => `${reader.uint32(start) | 0}`),
  [ScalarType.UINT32]: number(VARINT, (reader, start) => `${reader.uint32(start)}`),
  [ScalarType.SINT32]: number(VARINT, sint32Text),
  [ScalarType.FIXED32]: number(BIT32, (reader, start) => `${reader.fixed32(start) >>> 0}`),
  [ScalarType.SFIXED32]: number(BIT32, (reader, start) => `${reader.fixed32(start)}`),
  [ScalarType.FLOAT]: number(BIT32, (reader, start) => numberText(reader.float(start))),
  [ScalarType.DOUBLE]: number(BIT64, (reader, start) => numberText(reader.double(start))),
  [ScalarType.INT64]: quotedNumber(VARINT, int64Text),
  [ScalarType.UINT64]: quotedNumber(VARINT, uint64Text),
  [ScalarType.SINT64]: quotedNumber(VARINT, sint64Text),
  [ScalarType.FIXED64]: quotedNumber(BIT64, fixed64Text),
  [ScalarType.SFIXED64]: quotedNumber(BIT64, sfixed64Text),
}

function number(wireType: number, read: ScalarDecoder['read']): ScalarDecoder {
  return { wireType, read, quote: '', zero: '0' }
}

function quotedNumber(wireType: number, read: ScalarDecoder['read']): ScalarDecoder {
  return { wireType, read, quote: '"', zero: '0' }
}

function boolText(reader: WireReader, start: number): string {
  reader.varint64(start)
  return (reader.low | reader.high) === 0 ? 'false' : 'true'
}

function sint32Text(reader: WireReader, start: number): string {
  const zigzag = reader.uint32(start)
  return `${(zigzag >>> 1) ^ -(zigzag & 1)}`
}

function int64Text(reader: WireReader, start: number): string {
  reader.varint64(start)
  return signedText(reader.low, reader.high)
}

function uint64Text(reader: WireReader, start: number): string {
  reader.varint64(start)
  return unsignedText(reader.low, reader.high)
}

function sint64Text(reader: WireReader, start: number): string {
  reader.varint64(start)
  const { low, high } = reader
  const sign = -(low & 1)
  return signedText(((low >>> 1) | ((high & 1) << 31)) ^ sign, (high >>> 1) ^ sign)
}

function fixed64Text(reader: WireReader, start: number): string {
  reader.fixed64(start)
  return unsignedText(reader.low, reader.high)
}

function sfixed64Text(reader: WireReader, start: number): string {
  reader.fixed64(start)
  return signedText(reader.low, reader.high)
}

const TWO_32 = 2 ** 32
// If the high half is below this, a number holds both halves exactly (53 bits).
const SAFE_HIGH = 2 ** 21

function signedText(low: number, high: number): string {
  if (high >= -SAFE_HIGH && high < SAFE_HIGH) return `${high * TWO_32 + (low >>> 0)}`
  return `${(BigInt(high) << 32n) | BigInt(low >>> 0)}`
}

function unsignedText(low: number, high: number): string {
  return high >= 0 ? signedText(low, high) : `${(BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)}`
}

function numberText(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  return Number.isFinite(value) ? `${value}` : `"${value}"`
}

/**
 * Writes the name of an enum value, or the number if it has no name.
 * @param isSingular a singular field of a closed enum falls back for a number without a name: it is an unknown field.
 */
function enumDecoder(schema: DescEnum, isSingular: boolean): ScalarDecoder {
  const isNull = schema.typeName === 'google.protobuf.NullValue'
  const names = new Map(
    Object.values(schema.value).map(({ number, jsonName }) => [number, isNull ? 'null' : JSON.stringify(jsonName)]),
  )
  const mayBeUnknown = schema.open || !isSingular
  const textOf = (value: number): string =>
    names.get(value) ?? (isNull ? 'null' : mayBeUnknown ? `${value}` : fallBack())
  return {
    wireType: VARINT,
    read: (reader, start) => textOf(reader.uint32(start) | 0),
    quote: '',
    zero: textOf(schema.values[0]?.number ?? 0),
  }
}

/** Returns the decoder of a singular value or an entry of the field; undefined for messages. */
export function scalarDecoder(field: DescField): ScalarDecoder | undefined {
  if (field.enum !== undefined) return enumDecoder(field.enum, field.fieldKind === 'enum')
  return field.message === undefined ? SCALAR_DECODERS[field.scalar as ScalarType] : undefined
}
