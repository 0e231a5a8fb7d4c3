import { create, type DescField, type DescMessage, type Message, type Registry, ScalarType } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect, type ScalarValue } from '@bufbuild/protobuf/reflect'
import {
  AnySchema,
  anyPack,
  DurationSchema,
  FieldMaskSchema,
  ListValueSchema,
  StructSchema,
  TimestampSchema,
  type Value,
  ValueSchema,
} from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'

/** Values of the scalar types, including limits and special values. */
const SCALARS: Record<ScalarType, fc.Arbitrary<ScalarValue>> = {
  [ScalarType.DOUBLE]: fc.double(),
  [ScalarType.FLOAT]: fc.float(),
  [ScalarType.INT64]: signed64(),
  [ScalarType.UINT64]: unsigned64(),
  [ScalarType.INT32]: signed32(),
  [ScalarType.FIXED64]: unsigned64(),
  [ScalarType.FIXED32]: unsigned32(),
  [ScalarType.BOOL]: fc.boolean(),
  [ScalarType.STRING]: text(),
  [ScalarType.BYTES]: fc.uint8Array({ maxLength: 20, size: 'max' }),
  [ScalarType.UINT32]: unsigned32(),
  [ScalarType.SFIXED32]: signed32(),
  [ScalarType.SFIXED64]: signed64(),
  [ScalarType.SINT32]: signed32(),
  [ScalarType.SINT64]: signed64(),
}

function signed32(): fc.Arbitrary<number> {
  return fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
}

function unsigned32(): fc.Arbitrary<number> {
  return fc.integer({ min: 0, max: 2 ** 32 - 1 })
}

function signed64(): fc.Arbitrary<bigint> {
  return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
}

function unsigned64(): fc.Arbitrary<bigint> {
  return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
}

function text(): fc.Arbitrary<string> {
  return fc.string({ unit: 'binary', maxLength: 20, size: 'max' })
}

/** Options of `arbitraryMessage`. */
export interface ArbitraryOptions {
  /** The types that an Any may contain. Default: none, every Any is empty. */
  readonly registry?: Registry
  /** Maximum levels of nested messages. Default 3. */
  readonly depth?: number
}

/** Generates messages that ProtoJSON can express, with all kinds of fields, set and unset. */
export function arbitraryMessage(
  schema: DescMessage,
  { registry, depth = 3 }: ArbitraryOptions = {},
): fc.Arbitrary<Message> {
  const special = wellKnown(schema, registry, depth)
  if (special !== undefined) return special
  const inner = { registry, depth: depth - 1 }
  const members = schema.members.map(member => {
    const fields = member.kind === 'oneof' ? member.fields : [member]
    const assignments = fields.filter(field => depth > 0 || field.message === undefined).map(assignment)
    return assignments.length === 0 ? fc.constant(undefined) : fc.option(fc.oneof(...assignments), { nil: undefined })
  })
  return fc.tuple(...members).map(assignments => {
    const content = reflect(schema)
    for (const assign of assignments) assign?.(content)
    return content.message
  })

  function assignment(field: DescField): fc.Arbitrary<Assign> {
    const value: fc.Arbitrary<unknown> = field.message
      ? arbitraryMessage(field.message, inner).map(message => reflect(field.message as DescMessage, message))
      : field.enum
        ? enumNumber(field)
        : SCALARS[field.scalar as ScalarType]
    switch (field.fieldKind) {
      case 'list':
        return fc.array(value, { maxLength: 3 }).map(values => content => {
          for (const entry of values) content.get(field).add(entry)
        })
      case 'map':
        return fc
          .array(fc.tuple(SCALARS[field.mapKey] as fc.Arbitrary<string | number | bigint | boolean>, value), {
            maxLength: 3,
          })
          .map(entries => content => {
            for (const [key, entry] of entries) content.get(field).set(key, entry)
          })
      default:
        return value.map(one => content => content.set(field, one as never))
    }
  }
}

type Assign = (content: ReflectMessage) => void

function enumNumber(field: DescField): fc.Arbitrary<number> {
  const declared = fc.constantFrom(...(field.enum?.values ?? []).map(value => value.number))
  return field.enum?.open ? fc.oneof(declared, signed32()) : declared
}

function wellKnown(
  schema: DescMessage,
  registry: Registry | undefined,
  depth: number,
): fc.Arbitrary<Message> | undefined {
  switch (schema.typeName) {
    case 'google.protobuf.Timestamp':
      return fc
        .tuple(fc.bigInt({ min: -62_135_596_800n, max: 253_402_300_799n }), nanos())
        .map(([seconds, nanos]) => create(TimestampSchema, { seconds, nanos }))
    case 'google.protobuf.Duration':
      return fc
        .tuple(fc.bigInt({ min: 0n, max: 315_575_999_999n }), nanos(), fc.constantFrom(1, -1))
        .map(([seconds, nanos, sign]) =>
          create(DurationSchema, { seconds: seconds * BigInt(sign), nanos: nanos * sign || 0 }),
        )
    case 'google.protobuf.FieldMask':
      return fc
        .array(fc.stringMatching(/^[a-z]{1,5}(_[a-z]{1,5}){0,2}(\.[a-z]{1,5})?$/), { maxLength: 3 })
        .map(paths => create(FieldMaskSchema, { paths }))
    case 'google.protobuf.Value':
      return value(depth)
    case 'google.protobuf.ListValue':
      return fc.array(value(depth - 1), { maxLength: 3 }).map(values => create(ListValueSchema, { values }))
    case 'google.protobuf.Struct':
      return fc
        .dictionary(text(), value(depth - 1), { maxKeys: 3 })
        .map(fields => create(StructSchema, { fields: fields }))
    case 'google.protobuf.Any':
      return any(registry, depth)
    default:
      return undefined
  }
}

function nanos(): fc.Arbitrary<number> {
  return fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 999_999_999 }))
}

/** Excludes a Value that is unset or not a finite number, which ProtoJSON cannot express. */
function value(depth: number): fc.Arbitrary<Value> {
  const leaves: fc.Arbitrary<Value['kind']>[] = [
    fc.constant({ case: 'nullValue', value: 0 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => ({ case: 'numberValue', value })),
    text().map(value => ({ case: 'stringValue', value })),
    fc.boolean().map(value => ({ case: 'boolValue', value })),
  ]
  const branches: fc.Arbitrary<Value['kind']>[] = depth <= 0 ? [] : [listKind(depth), structKind(depth)]
  return fc.oneof(...leaves, ...branches).map(kind => create(ValueSchema, { kind }))
}

function listKind(depth: number): fc.Arbitrary<Value['kind']> {
  return fc
    .array(value(depth - 1), { maxLength: 3 })
    .map(values => ({ case: 'listValue', value: create(ListValueSchema, { values }) }))
}

function structKind(depth: number): fc.Arbitrary<Value['kind']> {
  return fc
    .dictionary(text(), value(depth - 1), { maxKeys: 3 })
    .map(fields => ({ case: 'structValue', value: create(StructSchema, { fields: fields }) }))
}

function any(registry: Registry | undefined, depth: number): fc.Arbitrary<Message> {
  const types = registry === undefined ? [] : [...registry].filter(type => type.kind === 'message')
  const held = types.filter(type => !type.typeName.startsWith('google.') || type.typeName === TimestampSchema.typeName)
  const empty = fc.constant(create(AnySchema))
  if (held.length === 0 || depth <= 0) return empty
  const packed = fc
    .constantFrom(...held)
    .chain(type => arbitraryMessage(type, { depth: 1 }).map(message => anyPack(type, message)))
  return fc.oneof(empty, packed)
}
