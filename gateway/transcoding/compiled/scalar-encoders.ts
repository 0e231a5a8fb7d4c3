/**
 * Encoders of scalars and enums. They accept only the usual JSON form of a value: a number or its decimal digits,
 * padded base64. They fall back for the other forms that ProtoJSON allows, such as 1e3.
 */
import { type DescEnum, type DescField, type JsonValue, ScalarType } from '@bufbuild/protobuf'
import { rawData } from '../binding/raw-body.ts'
import { fallBack } from './fallback.ts'
import { BIT32, BIT64, DELIMITED, VARINT } from './wire-reader.ts'
import type { WireWriter } from './wire-writer.ts'

/** Parses the JSON of a scalar or enum value and writes it to the wire. */
export interface ScalarEncoder<Value = unknown> {
  readonly wireType: number
  /** Returns the value for the field rules and for `write`. Falls back if the JSON is not in a usual form. */
  readonly parse: (json: JsonValue) => Value
  /** Whether it is the default value, which a field with implicit presence does not write. */
  readonly isZero: (value: Value) => boolean
  readonly write: (writer: WireWriter, value: Value) => void
}

export const SCALAR_ENCODERS: Record<ScalarType, ScalarEncoder> = {
  [ScalarType.BOOL]: scalar<boolean>({
    wireType: VARINT,
    parse: json => (typeof json === 'boolean' ? json : fallBack()),
    isZero: value => !value,
    write: (writer, value) => writer.uint32(value ? 1 : 0),
  }),
  [ScalarType.STRING]: scalar<string>({
    wireType: DELIMITED,
    parse: parseString,
    isZero: value => value === '',
    write: (writer, value) => writer.string(value),
  }),
  [ScalarType.BYTES]: scalar<Uint8Array>({
    wireType: DELIMITED,
    parse: json => (isPaddedBase64(json) ? Buffer.from(json, 'base64') : (rawData(json) ?? fallBack())),
    isZero: value => value.length === 0,
    write: (writer, value) => writer.bytes(value),
  }),
  [ScalarType.INT32]: number(VARINT, parseInt32, (writer, value) => writer.int32(value)),
  [ScalarType.UINT32]: number(VARINT, parseUint32, (writer, value) => writer.uint32(value)),
  [ScalarType.SINT32]: number(VARINT, parseInt32, (writer, value) =>
    writer.uint32(((value << 1) ^ (value >> 31)) >>> 0),
  ),
  [ScalarType.FIXED32]: number(BIT32, parseUint32, (writer, value) => writer.fixed32(value)),
  [ScalarType.SFIXED32]: number(BIT32, parseInt32, (writer, value) => writer.fixed32(value)),
  [ScalarType.INT64]: bigint(VARINT, parseInt64, (writer, value) => writer.varint64(value)),
  [ScalarType.UINT64]: bigint(VARINT, parseUint64, (writer, value) => writer.varint64(value)),
  [ScalarType.SINT64]: bigint(VARINT, parseInt64, (writer, value) => writer.varint64((value << 1n) ^ (value >> 63n))),
  [ScalarType.FIXED64]: bigint(BIT64, parseUint64, (writer, value) => writer.fixed64(value)),
  [ScalarType.SFIXED64]: bigint(BIT64, parseInt64, (writer, value) => writer.fixed64(value)),
  [ScalarType.FLOAT]: scalar<number>({
    wireType: BIT32,
    parse: json => {
      const value = parseDouble(json)
      return Number.isFinite(Math.fround(value)) ? value : fallBack()
    },
    isZero: isPositiveZero,
    write: (writer, value) => writer.float(value),
  }),
  [ScalarType.DOUBLE]: scalar<number>({
    wireType: BIT64,
    parse: parseDouble,
    isZero: isPositiveZero,
    write: (writer, value) => writer.double(value),
  }),
}

function scalar<Value>(encoder: ScalarEncoder<Value>): ScalarEncoder {
  return encoder as ScalarEncoder
}

function number(
  wireType: number,
  parse: (json: JsonValue) => number,
  write: ScalarEncoder<number>['write'],
): ScalarEncoder {
  return scalar<number>({ wireType, parse, isZero: value => value === 0, write })
}

function bigint(
  wireType: number,
  parse: (json: JsonValue) => bigint,
  write: ScalarEncoder<bigint>['write'],
): ScalarEncoder {
  return scalar<bigint>({ wireType, parse, isZero: value => value === 0n, write })
}

// No nested repetition: with it the engine overflows its stack on some megabytes of text.
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const DIGITS = /^(?:0|-?[1-9]\d*)$/
const DECIMAL = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

function isPaddedBase64(json: JsonValue): json is string {
  return typeof json === 'string' && json.length % 4 === 0 && BASE64.test(json)
}

/** Returns the string. Falls back if the JSON is not a string of valid Unicode. */
export function parseString(json: JsonValue): string {
  return typeof json === 'string' && json.isWellFormed() ? json : fallBack()
}

function parseInteger(json: JsonValue): number {
  const value = typeof json === 'string' && DIGITS.test(json) ? Number(json) : json
  // Adding 0 turns -0 into 0.
  return typeof value === 'number' && Number.isSafeInteger(value) ? value + 0 : fallBack()
}

function parseInt32(json: JsonValue): number {
  const value = parseInteger(json)
  return value === (value | 0) ? value : fallBack()
}

function parseUint32(json: JsonValue): number {
  const value = parseInteger(json)
  return value === value >>> 0 ? value : fallBack()
}

function parseBigint(json: JsonValue): bigint {
  if (typeof json === 'string' && DIGITS.test(json) && json.length <= '-9223372036854775808'.length) return BigInt(json)
  return typeof json === 'number' && Number.isSafeInteger(json) ? BigInt(json) : fallBack()
}

function parseInt64(json: JsonValue): bigint {
  const value = parseBigint(json)
  return value === BigInt.asIntN(64, value) ? value : fallBack()
}

function parseUint64(json: JsonValue): bigint {
  const value = parseBigint(json)
  return value === BigInt.asUintN(64, value) ? value : fallBack()
}

function parseDouble(json: JsonValue): number {
  const value = typeof json === 'string' && DECIMAL.test(json) ? Number(json) : json
  return typeof value === 'number' && Number.isFinite(value) ? value : fallBack()
}

/** -0 is written even in a field with implicit presence. */
function isPositiveZero(value: number): boolean {
  return Object.is(value, 0)
}

/** @returns undefined for NullValue, whose null means unset in some positions and a value in others. */
function enumEncoder({ typeName, open, values }: DescEnum): ScalarEncoder | undefined {
  if (typeName === 'google.protobuf.NullValue') return undefined
  const named = new Map([
    ...values.map(({ jsonName, number }) => [jsonName, number] as const),
    // Added last: if a name belongs to two values, @bufbuild/protobuf prefers the proto name.
    ...values.map(({ name, number }) => [name, number] as const),
  ])
  const numbers = new Set(values.map(value => value.number))
  const zero = values[0]?.number
  return scalar<number>({
    wireType: VARINT,
    parse: json => {
      if (typeof json === 'string') return named.get(json) ?? fallBack()
      const value = parseInt32(json)
      return open || numbers.has(value) ? value : fallBack()
    },
    isZero: value => value === zero,
    write: (writer, value) => writer.int32(value),
  })
}

/** Returns the encoder of a singular value or an entry of the field; undefined for messages and NullValue. */
export function scalarEncoder(field: DescField): ScalarEncoder | undefined {
  if (field.enum !== undefined) return enumEncoder(field.enum)
  return field.message === undefined ? SCALAR_ENCODERS[field.scalar as ScalarType] : undefined
}
