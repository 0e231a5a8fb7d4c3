/**
 * Generates bytes that encoders do not produce but decoders may receive: fields in any order, repeated, packed or not,
 * unknown, of another wire type, overlong varints, invalid UTF-8, truncated or damaged messages.
 */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import fc from 'fast-check'

const VARINT = 0
const BIT64 = 1
const DELIMITED = 2
const GROUP_START = 3
const GROUP_END = 4
const BIT32 = 5

/** Bytes on the wire. */
export type Bytes = readonly number[]

/** Generates messages of a type. Most records are valid fields of the type. */
export function arbitraryWire(schema: DescMessage, depth = 3): fc.Arbitrary<Uint8Array> {
  return records(schema, depth).map(bytes => Uint8Array.from(bytes))
}

function records(schema: DescMessage, depth: number): fc.Arbitrary<Bytes> {
  const usual = schema.fields.flatMap(field => {
    const record = fieldRecord(field, depth)
    return record === undefined ? [] : [{ weight: 10, arbitrary: record }]
  })
  const unusual = [
    { weight: 3, arbitrary: record(fc.integer({ min: 21, max: 3000 })) },
    { weight: 1, arbitrary: record(fc.constantFrom(1, 2, 3, ...schema.fields.map(field => field.number))) },
  ]
  return fc.array(fc.oneof(...usual, ...unusual), { maxLength: 8 }).map(list => list.flat())
}

function fieldRecord(field: DescField, depth: number): fc.Arbitrary<Bytes> | undefined {
  if (field.fieldKind === 'map') {
    const key = scalar(field.mapKey).map(value => [...tag(1, wireTypeOf(field.mapKey)), ...value])
    const value = fieldValue(field, depth)
    if (value === undefined) return undefined
    const entry = fc
      .array(
        fc.oneof(
          key,
          value.map(bytes => [...tag(2, valueWireType(field)), ...bytes]),
        ),
        { maxLength: 3 },
      )
      .map(list => list.flat())
    return entry.map(bytes => [...tag(field.number, DELIMITED), ...delimited(bytes)])
  }
  const value = fieldValue(field, depth)
  if (value === undefined) return undefined
  const wireType = valueWireType(field)
  const single = value.map(bytes => [...tag(field.number, wireType), ...bytes])
  if (field.fieldKind !== 'list' || wireType === DELIMITED) return single
  const packed = fc
    .array(value, { maxLength: 4 })
    .map(values => [...tag(field.number, DELIMITED), ...delimited(values.flat())])
  return fc.oneof(single, packed)
}

function valueWireType(field: DescField): number {
  if (field.enum !== undefined) return VARINT
  return field.message === undefined ? wireTypeOf(field.scalar as ScalarType) : DELIMITED
}

/** Generates a value, with its length if it is length-delimited. */
function fieldValue(field: DescField, depth: number): fc.Arbitrary<Bytes> | undefined {
  if (field.enum !== undefined)
    return fc.oneof(fc.integer({ min: -1, max: 3 }).map(BigInt), fc.bigInt(-(2n ** 31n), 2n ** 31n)).map(varint)
  if (field.message === undefined) return scalar(field.scalar as ScalarType)
  if (depth === 0) return undefined
  return content(field.message, depth - 1).map(delimited)
}

/** Generates messages. Timestamps and durations are often near the limits of their ranges. */
function content(schema: DescMessage, depth: number): fc.Arbitrary<Bytes> {
  const any = records(schema, depth)
  const near = (limit: bigint) => fc.oneof(fc.bigInt(-limit, limit), fc.bigInt(-5n, 5n))
  const time = (limit: bigint) =>
    fc
      .tuple(near(limit), near(10n ** 9n))
      .map(([seconds, nanos]) => [...tag(1, VARINT), ...varint(seconds), ...tag(2, VARINT), ...varint(nanos)])
  switch (schema.typeName) {
    case 'google.protobuf.Timestamp':
      return fc.oneof(time(253_402_300_800n), any)
    case 'google.protobuf.Duration':
      return fc.oneof(time(315_576_000_001n), any)
    default:
      return any
  }
}

function scalar(type: ScalarType): fc.Arbitrary<Bytes> {
  switch (type) {
    case ScalarType.STRING:
      return fc.oneof(
        {
          weight: 20,
          arbitrary: fc
            .string({ unit: 'binary', maxLength: 20, size: 'max' })
            .map(text => delimited(Buffer.from(text))),
        },
        { weight: 20, arbitrary: fc.string({ maxLength: 200, size: 'max' }).map(text => delimited(Buffer.from(text))) },
        { weight: 1, arbitrary: fc.uint8Array({ maxLength: 5 }).map(bytes => delimited(bytes)) },
      )
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 9 }).map(bytes => delimited(bytes))
    case ScalarType.DOUBLE:
      return fc.double().map(value => bytesOf(8, view => view.setFloat64(0, value, true)))
    case ScalarType.FLOAT:
      return fc.float().map(value => bytesOf(4, view => view.setFloat32(0, value, true)))
    default:
      return value(wireTypeOf(type))
  }
}

function bytesOf(length: number, write: (view: DataView) => void): Bytes {
  const bytes = new Uint8Array(length)
  write(new DataView(bytes.buffer))
  return [...bytes]
}

function wireTypeOf(type: ScalarType): number {
  switch (type) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return DELIMITED
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return BIT64
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return BIT32
    default:
      return VARINT
  }
}

/** Generates any value of a wire type. */
function value(wireType: number): fc.Arbitrary<Bytes> {
  switch (wireType) {
    case VARINT:
      return fc.oneof(
        fc.bigInt(-(2n ** 63n), 2n ** 64n - 1n).map(varint),
        fc.bigInt(-(2n ** 53n), 2n ** 53n).map(varint),
        fc.bigInt(-3n, 3n).map(varint),
        fc
          .tuple(fc.bigInt(0n, 300n), fc.integer({ min: 1, max: 10 }))
          .map(([number, more]) => padded(varint(number), more)),
      )
    case BIT64:
      return fc.array(fc.nat(255), { minLength: 8, maxLength: 8 })
    case BIT32:
      return fc.array(fc.nat(255), { minLength: 4, maxLength: 4 })
    default:
      return fc.uint8Array({ maxLength: 6 }).map(bytes => delimited(bytes))
  }
}

function record(number: fc.Arbitrary<number>): fc.Arbitrary<Bytes> {
  const wireTypes = fc.constantFrom(VARINT, BIT64, DELIMITED, BIT32)
  const single = fc
    .tuple(number, wireTypes, fc.integer({ min: 0, max: 12 }))
    .chain(([no, wireType, more]) =>
      value(wireType).map(bytes => [...(more > 10 ? padded(tag(no, wireType), 1) : tag(no, wireType)), ...bytes]),
    )
  const group = fc
    .tuple(number, single)
    .map(([no, inner]) => [...tag(no, GROUP_START), ...inner, ...tag(no, GROUP_END)])
  return fc.oneof({ weight: 6, arbitrary: single }, { weight: 1, arbitrary: group })
}

/** Encodes a tag. */
export function tag(number: number, wireType: number): Bytes {
  return varint((BigInt(number) << 3n) | BigInt(wireType))
}

/** Encodes length and bytes. */
export function delimited(bytes: Iterable<number>): Bytes {
  const list = [...bytes]
  return [...varint(BigInt(list.length)), ...list]
}

/** Encodes the low 64 bits of a number. */
export function varint(value: bigint): Bytes {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, value)
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  return [...bytes, Number(rest)]
}

/** Lengthens a varint by `more` bytes without changing its value. */
export function padded(bytes: Bytes, more: number): Bytes {
  const last = bytes.at(-1) ?? 0
  return [...bytes.slice(0, -1), last | 0x80, ...Array.from({ length: more - 1 }, () => 0x80), 0]
}

/** Truncates messages, or replaces, removes or inserts some of their bytes. */
export function damaged(wire: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    remove: fc.nat(2),
    insert: fc.array(fc.nat(255), { maxLength: 2 }),
  })
  const cut = fc.double({ min: 0, max: 1, noNaN: true })
  return fc.oneof(
    fc.tuple(wire, cut).map(([bytes, part]) => bytes.subarray(0, Math.floor(part * bytes.length))),
    fc.tuple(wire, fc.array(change, { minLength: 1, maxLength: 3 })).map(([bytes, changes]) => {
      const list = [...bytes]
      for (const { at, remove, insert } of changes) list.splice(Math.floor(at * list.length), remove, ...insert)
      return Uint8Array.from(list)
    }),
  )
}
