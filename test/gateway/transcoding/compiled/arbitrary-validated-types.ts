/** Generates rules of `buf.validate` that fit the type of a field, with bounds that generated values often meet. */
import { create, type MessageInitShape, ScalarType } from '@bufbuild/protobuf'
import {
  type FieldRulesSchema,
  Ignore,
  KnownRegex,
  type MessageRulesSchema,
  RuleSchema,
} from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import fc from 'fast-check'
import { FieldBehavior } from '#proto/google/api/field_behavior_pb.js'
import { arbitraryTypes, type FieldSpec, INHERITED_NAMES, type TypesSpec } from './arbitrary-types.ts'

type Rules = MessageInitShape<typeof FieldRulesSchema>
type TypedRules = NonNullable<Rules['type']>

/** Generates contracts as `arbitraryTypes`, in which most fields have rules of `buf.validate` or a field behavior. */
export function arbitraryValidatedTypes(): fc.Arbitrary<TypesSpec> {
  return arbitraryTypes().chain(spec => {
    const types = fc.tuple(...spec.types.map(fields => fc.tuple(...fields.map(validated))))
    const names = spec.types[0]?.filter(({ label }) => label !== 'map').map(({ name }) => name) ?? []
    const isCommon = names.every(name => !INHERITED_NAMES.includes(name))
    return fc.record({
      syntax: fc.constant(spec.syntax),
      isExtended: fc.constant(spec.isExtended),
      types,
      messageRules: isCommon ? arbitraryMessageRules(names) : fc.constant(undefined),
      isOneofRequired: fc.nat(4).map(number => number === 0),
    })
  })
}

function validated(field: FieldSpec): fc.Arbitrary<FieldSpec> {
  return fc.record({
    ...Object.fromEntries(Object.entries(field).map(([name, value]) => [name, fc.constant(value)])),
    validate: fc.option(arbitraryFieldRules(field), { nil: undefined, freq: 3 }),
    behavior: fc.constantFrom(
      ...NO_BEHAVIOR,
      FieldBehavior.OUTPUT_ONLY,
      FieldBehavior.REQUIRED,
      FieldBehavior.IMMUTABLE,
    ),
  }) as unknown as fc.Arbitrary<FieldSpec>
}

const NO_BEHAVIOR = [undefined, undefined, undefined, undefined, undefined]

/** Generates the rules of a field. */
function arbitraryFieldRules({ type, label, key }: Pick<FieldSpec, 'type' | 'label' | 'key'>): fc.Arbitrary<Rules> {
  const value = valueRules(type)
  if (label === 'list' || label === 'other list') {
    const isComparable = typeof type === 'number' || type === 'enum'
    const repeated = fc.record(
      {
        minItems: fc.bigInt(0n, 2n),
        maxItems: fc.bigInt(1n, 4n),
        unique: isComparable ? fc.boolean() : fc.constant(false),
        items: value,
      },
      { requiredKeys: [] },
    )
    return common(repeated.map(rules => ({ case: 'repeated', value: rules }) as TypedRules))
  }
  if (label === 'map') {
    const map = fc.record(
      { minPairs: fc.bigInt(0n, 2n), maxPairs: fc.bigInt(1n, 4n), keys: valueRules(key), values: value },
      { requiredKeys: [] },
    )
    return common(map.map(rules => ({ case: 'map', value: rules }) as TypedRules))
  }
  return value
}

/** Generates the rules of the first message type. @param names of its fields. */
function arbitraryMessageRules(
  names: readonly string[],
): fc.Arbitrary<MessageInitShape<typeof MessageRulesSchema> | undefined> {
  const [first] = names
  if (first === undefined) return fc.constant(undefined)
  const cel = create(RuleSchema, { id: 'has', message: `${first} must be set`, expression: `has(this.${first})` })
  return fc.oneof<fc.WeightedArbitrary<MessageInitShape<typeof MessageRulesSchema> | undefined>[]>(
    { weight: 20, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constant({ cel: [cel] }) },
    {
      weight: 1,
      arbitrary: fc.boolean().map(required => ({ oneof: [{ fields: names.slice(0, 2), required }] })),
    },
  )
}

function common(type: fc.Arbitrary<TypedRules | undefined>): fc.Arbitrary<Rules> {
  return fc.record({
    required: fc.nat(5).map(number => number === 0),
    // Unset and UNSPECIFIED are the same, except in a field that a message rule names.
    ignore: fc.constantFrom(Ignore.UNSPECIFIED, Ignore.UNSPECIFIED, Ignore.IF_ZERO_VALUE, Ignore.ALWAYS),
    type: type.map(rules => rules ?? { case: undefined }),
  })
}

function valueRules(type: FieldSpec['type']): fc.Arbitrary<Rules> {
  if (type === 'enum') return common(enumRules())
  if (typeof type === 'object' || type === 'group' || type === 'NullValue') return common(fc.constant(undefined))
  if (typeof type === 'string') {
    const wrapped = WRAPPERS[type]
    return wrapped === undefined ? common(wellKnownRules(type)) : common(scalarRules(wrapped))
  }
  const rules = common(scalarRules(type))
  if (type !== ScalarType.STRING) return rules
  const cel = [create(RuleSchema, { id: 'short', message: 'must be short', expression: 'size(this) < 3' })]
  return fc
    .tuple(rules, fc.nat(8))
    .map(([plain, number]): Rules => (number === 0 ? ({ ...plain, cel } as Rules) : plain))
}

const WRAPPERS: Record<string, ScalarType | undefined> = {
  'google.protobuf.BoolValue': ScalarType.BOOL,
  'google.protobuf.BytesValue': ScalarType.BYTES,
  'google.protobuf.DoubleValue': ScalarType.DOUBLE,
  'google.protobuf.FloatValue': ScalarType.FLOAT,
  'google.protobuf.Int32Value': ScalarType.INT32,
  'google.protobuf.Int64Value': ScalarType.INT64,
  'google.protobuf.StringValue': ScalarType.STRING,
  'google.protobuf.UInt32Value': ScalarType.UINT32,
  'google.protobuf.UInt64Value': ScalarType.UINT64,
}

function wellKnownRules(type: string): fc.Arbitrary<TypedRules | undefined> {
  if (type === 'google.protobuf.Any') {
    return fc.constant({ case: 'any', value: { in: ['type.googleapis.com/google.protobuf.Duration'] } })
  }
  if (type !== 'google.protobuf.Timestamp' && type !== 'google.protobuf.Duration') return fc.constant(undefined)
  const time = fc.record({ seconds: fc.bigInt(-10n, 10n), nanos: fc.constant(0) })
  const bounds = fc.record({ lessThan: bound(['lt', 'lte'], time), greaterThan: bound(['gt', 'gte'], time) })
  if (type === 'google.protobuf.Duration') {
    return bounds.map(value => ({ case: 'duration', value }) as TypedRules)
  }
  const past = { lessThan: { case: 'ltNow', value: true } }
  return fc.oneof(bounds, fc.constant(past)).map(value => ({ case: 'timestamp', value }) as TypedRules)
}

function bound(cases: readonly string[], value: fc.Arbitrary<unknown>) {
  return fc.oneof(fc.constant({ case: undefined }), fc.record({ case: fc.constantFrom(...cases), value }))
}

function enumRules(): fc.Arbitrary<TypedRules> {
  const numbers = fc.subarray([0, 1, 2, -1, 77])
  const rules = fc.oneof(
    fc.constant({ definedOnly: true }),
    numbers.map(allowed => ({ in: allowed })),
    numbers.map(excluded => ({ notIn: excluded })),
    fc.constant({ const: 1 }),
  )
  return rules.map(value => ({ case: 'enum', value }))
}

function scalarRules(type: ScalarType): fc.Arbitrary<TypedRules> {
  const name = ScalarType[type].toLowerCase()
  return rulesByScalar(type).map(value => ({ case: name, value }) as TypedRules)
}

function rulesByScalar(type: ScalarType): fc.Arbitrary<object> {
  switch (type) {
    case ScalarType.BOOL:
      return fc.record({ const: fc.boolean() }, { requiredKeys: [] })
    case ScalarType.STRING:
      return stringRules()
    case ScalarType.BYTES:
      return bytesRules()
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return fc.oneof(numberRules(fc.float({ noNaN: true })), fc.constant({ finite: true }))
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return numberRules(fc.bigInt(-100n, 300n))
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return numberRules(fc.bigInt(0n, 300n))
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return numberRules(fc.integer({ min: 0, max: 300 }))
    default:
      return numberRules(fc.integer({ min: -100, max: 300 }))
  }
}

function numberRules(value: fc.Arbitrary<unknown>): fc.Arbitrary<object> {
  const range = fc.record({ lessThan: bound(['lt', 'lte'], value), greaterThan: bound(['gt', 'gte'], value) })
  const lists = fc.oneof(
    value.map(only => ({ const: only })),
    fc.array(value, { maxLength: 3 }).map(allowed => ({ in: allowed })),
    fc.array(value, { maxLength: 3 }).map(excluded => ({ notIn: excluded })),
  )
  return fc.oneof({ weight: 3, arbitrary: range }, { weight: 1, arbitrary: lists })
}

function stringRules(): fc.Arbitrary<object> {
  const length = fc.bigInt(0n, 6n)
  const text = fc.constantFrom('', 'a', 'b', 'X', '0', '-')
  return fc.oneof(
    fc.record({ minLen: length, maxLen: length }, { requiredKeys: [] }),
    fc.record({ minBytes: length, maxBytes: fc.bigInt(2n, 20n) }, { requiredKeys: [] }),
    fc.constantFrom({ len: 2n }, { lenBytes: 3n }, { const: 'a' }),
    fc.record({ prefix: text, suffix: text, contains: text, notContains: text }, { requiredKeys: [] }),
    fc.constantFrom('^[a-z]*$', '[0-9]', '(?i)x', '^.{0,3}$', '\\pL').map(pattern => ({ pattern })),
    fc.subarray(['', 'a', 'b']).map(allowed => ({ in: allowed })),
    fc.subarray(['', 'a', 'b']).map(excluded => ({ notIn: excluded })),
    fc.constantFrom(...FORMATS).map(format => ({ wellKnown: { case: format, value: true } })),
    fc.record({
      wellKnown: fc.constant({ case: 'wellKnownRegex', value: KnownRegex.HTTP_HEADER_VALUE }),
      strict: fc.boolean(),
    }),
  )
}

const FORMATS = ['email', 'hostname', 'ip', 'uri', 'uriRef', 'uuid', 'tuuid', 'ulid', 'address', 'hostAndPort']

function bytesRules(): fc.Arbitrary<object> {
  const size = fc.bigInt(0n, 6n)
  const bytes = fc.uint8Array({ maxLength: 1 })
  return fc.oneof(
    fc.record({ minLen: size, maxLen: size }, { requiredKeys: [] }),
    fc.record({ prefix: bytes, suffix: bytes, contains: bytes }, { requiredKeys: [] }),
    fc.array(bytes, { maxLength: 3 }).map(allowed => ({ in: allowed })),
    fc.array(bytes, { maxLength: 3 }).map(excluded => ({ notIn: excluded })),
    fc.constantFrom({ len: 4n }, { pattern: '^[\\x00-\\x7f]*$' }, { wellKnown: { case: 'ipv4', value: true } }),
  )
}
