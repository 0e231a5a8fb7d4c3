/** Scalars and enums on the wire to their JSON text (protobuf.dev, "ProtoJSON Format", table "JSON mapping"). */
import { type DescEnum, type DescField, ScalarType } from '@bufbuild/protobuf'
import { unsure } from './unsure.ts'
import { BIT32, BIT64, DELIMITED, VARINT, type WireSource } from './wire-source.ts'

export interface ScalarText {
  readonly wireType: number
  /**
   * The JSON of one value, without the quotes of `quote`. What is not delimited has no `end`, and leaves the source
   * after it.
   */
  readonly read: (source: WireSource, start: number, end: number) => string
  readonly quote: '' | '"'
  /** What an unset field has. */
  readonly zero: string
}

export const SCALAR_TEXTS: Record<ScalarType, ScalarText> = {
  [ScalarType.BOOL]: { wireType: VARINT, read: boolText, quote: '', zero: 'false' },
  [ScalarType.STRING]: {
    wireType: DELIMITED,
    read: (source, start, end) => source.escapedString(start, end),
    quote: '"',
    zero: '',
  },
  [ScalarType.BYTES]: {
    wireType: DELIMITED,
    read: (source, start, end) => source.base64(start, end),
    quote: '"',
    zero: '',
  },
  [ScalarType.INT32]: number(VARINT, (source, start) => `${source.uint32(start) | 0}`),
  [ScalarType.UINT32]: number(VARINT, (source, start) => `${source.uint32(start)}`),
  [ScalarType.SINT32]: number(VARINT, sint32Text),
  [ScalarType.FIXED32]: number(BIT32, (source, start) => `${source.fixed32(start) >>> 0}`),
  [ScalarType.SFIXED32]: number(BIT32, (source, start) => `${source.fixed32(start)}`),
  [ScalarType.FLOAT]: number(BIT32, (source, start) => numberText(source.float(start))),
  [ScalarType.DOUBLE]: number(BIT64, (source, start) => numberText(source.double(start))),
  [ScalarType.INT64]: quotedNumber(VARINT, int64Text),
  [ScalarType.UINT64]: quotedNumber(VARINT, uint64Text),
  [ScalarType.SINT64]: quotedNumber(VARINT, sint64Text),
  [ScalarType.FIXED64]: quotedNumber(BIT64, fixed64Text),
  [ScalarType.SFIXED64]: quotedNumber(BIT64, sfixed64Text),
}

function number(wireType: number, read: ScalarText['read']): ScalarText {
  return { wireType, read, quote: '', zero: '0' }
}

function quotedNumber(wireType: number, read: ScalarText['read']): ScalarText {
  return { wireType, read, quote: '"', zero: '0' }
}

function boolText(source: WireSource, start: number): string {
  source.varint64(start)
  return (source.low | source.high) === 0 ? 'false' : 'true'
}

function sint32Text(source: WireSource, start: number): string {
  const zigzag = source.uint32(start)
  return `${(zigzag >>> 1) ^ -(zigzag & 1)}`
}

function int64Text(source: WireSource, start: number): string {
  source.varint64(start)
  return signedText(source.low, source.high)
}

function uint64Text(source: WireSource, start: number): string {
  source.varint64(start)
  return unsignedText(source.low, source.high)
}

function sint64Text(source: WireSource, start: number): string {
  source.varint64(start)
  const { low, high } = source
  const sign = -(low & 1)
  return signedText(((low >>> 1) | ((high & 1) << 31)) ^ sign, (high >>> 1) ^ sign)
}

function fixed64Text(source: WireSource, start: number): string {
  source.fixed64(start)
  return unsignedText(source.low, source.high)
}

function sfixed64Text(source: WireSource, start: number): string {
  source.fixed64(start)
  return signedText(source.low, source.high)
}

const TWO_32 = 2 ** 32
// Below it a number holds both halves exactly.
const SAFE_HIGH = 2 ** 21

function signedText(low: number, high: number): string {
  if (high >= -SAFE_HIGH && high < SAFE_HIGH) return `${high * TWO_32 + (low >>> 0)}`
  return `${(BigInt(high) << 32n) | BigInt(low >>> 0)}`
}

function unsignedText(low: number, high: number): string {
  return high >= 0 ? signedText(low, high) : `${(BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)}`
}

function numberText(value: number): string {
  return Number.isFinite(value) ? `${value}` : `"${value}"`
}

/**
 * The name, or the number where it has none.
 * @param isSingular in a singular field of a closed enum, a number without a name counts as an unknown field.
 */
function enumText(schema: DescEnum, isSingular: boolean): ScalarText {
  const isNull = schema.typeName === 'google.protobuf.NullValue'
  const names = new Map(
    Object.values(schema.value).map(({ number, jsonName }) => [number, isNull ? 'null' : JSON.stringify(jsonName)]),
  )
  const mayBeUnknown = schema.open || !isSingular
  const textOf = (value: number): string => names.get(value) ?? (isNull ? 'null' : mayBeUnknown ? `${value}` : unsure())
  return {
    wireType: VARINT,
    read: (source, start) => textOf(source.uint32(start) | 0),
    quote: '',
    zero: textOf(schema.values[0]?.number ?? 0),
  }
}

/** Of a field's single value, of a list's entry, of a map's value; undefined for a message. */
export function scalarText(field: DescField): ScalarText | undefined {
  if (field.enum !== undefined) return enumText(field.enum, field.fieldKind === 'enum')
  return field.message === undefined ? SCALAR_TEXTS[field.scalar as ScalarType] : undefined
}
