/** Generates contracts: message types with all kinds of fields, in proto3, proto2 and editions. */
import { type MessageInitShape, ScalarType } from '@bufbuild/protobuf'
import type { FieldRulesSchema, MessageRulesSchema } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import fc from 'fast-check'
import type { FieldBehavior } from '#proto/google/api/field_behavior_pb.js'

type Syntax = 'proto2' | 'proto3' | 'editions'

/** A contract as plain values, so that counterexamples are readable. */
export interface TypesSpec {
  readonly syntax: Syntax
  /** Whether the second type has an extension (proto2 only). */
  readonly isExtended: boolean
  /** The fields of each type. The first type is request and response of the method. */
  readonly types: readonly FieldSpec[][]
  /** The rules of `buf.validate` of the first type. */
  readonly messageRules?: MessageInitShape<typeof MessageRulesSchema> | undefined
  /** Whether the oneof of each type must have a member. */
  readonly isOneofRequired?: boolean
}

/** A field of a generated type. */
export interface FieldSpec {
  readonly name: string
  readonly number: number
  readonly jsonName: string | undefined
  readonly label: 'plain' | 'optional' | 'list' | 'other list' | 'oneof' | 'map' | 'required'
  readonly type:
    | ScalarType
    | 'enum'
    | 'NullValue'
    | 'group'
    | `google.protobuf.${string}`
    | 'google.api.HttpBody'
    | { message: number }
  readonly key: ScalarType
  readonly rules: RulesSpec | undefined
  /** The rules of `buf.validate`. */
  readonly validate?: MessageInitShape<typeof FieldRulesSchema> | undefined
  /** `google.api.field_behavior`. */
  readonly behavior?: FieldBehavior | undefined
  /** Whether the field is a cookie, if it is an optional string of the first type. */
  readonly isCookie: boolean
}

interface RulesSpec {
  readonly required?: boolean
  readonly minItems?: number
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly in?: string[]
  readonly min?: number
  readonly max?: number
}

const SCALARS = Object.values(ScalarType).filter(type => typeof type === 'number')
const KEYS = SCALARS.filter(type => ![ScalarType.DOUBLE, ScalarType.FLOAT, ScalarType.BYTES].includes(type))
const WELL_KNOWN = ['Any', 'Duration', 'Empty', 'FieldMask', 'ListValue', 'Struct', 'Timestamp', 'Value']
  .concat('BoolValue', 'BytesValue', 'DoubleValue', 'FloatValue', 'Int32Value', 'Int64Value', 'StringValue')
  .concat('UInt32Value', 'UInt64Value')
  .map(name => `google.protobuf.${name}` as const)
const TYPES = 3

const NAMES = ['id', 'a_name', 'b_2', 'c', 'd_e_f', 'x', 'y', 'long_field_name', 'ends_', 'upper_CASE']
// Names that JavaScript objects inherit.
export const INHERITED_NAMES = ['to_string', 'constructor', 'has_own_property', '__proto__']
// Some need an escape in JSON, some have a special meaning in JavaScript objects.
const JSON_NAMES = ['"quoted"', 'ünï', '7', '__proto__', 'id']

/** Generates contracts with three message types. */
export function arbitraryTypes(): fc.Arbitrary<TypesSpec> {
  const inSyntax = (syntax: Syntax, isExtended: fc.Arbitrary<boolean>) =>
    fc.record({ syntax: fc.constant(syntax), types: types(syntax), isExtended })
  return fc.oneof(
    { weight: 6, arbitrary: inSyntax('proto3', fc.constant(false)) },
    { weight: 1, arbitrary: inSyntax('proto2', fc.boolean()) },
    { weight: 2, arbitrary: inSyntax('editions', fc.constant(false)) },
  )
}

function types(syntax: Syntax): fc.Arbitrary<FieldSpec[][]> {
  const fields = fc.uniqueArray(field(syntax), {
    maxLength: 8,
    comparator: (a, b) => a.number === b.number || a.name === b.name,
  })
  return fc.array(fields, { minLength: TYPES, maxLength: TYPES })
}

function field(syntax: Syntax): fc.Arbitrary<FieldSpec> {
  const labels = ['plain', 'plain', 'optional', 'list', 'other list', 'oneof', 'map'] as FieldSpec['label'][]
  return fc
    .record({
      name: fc.oneof(
        { weight: 40, arbitrary: fc.constantFrom(...NAMES) },
        { weight: 1, arbitrary: fc.constantFrom(...INHERITED_NAMES) },
      ),
      number: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(100, 127, 128, 2047, 2048, 536_870_911)),
      jsonName: fc.oneof(
        { weight: 40, arbitrary: fc.constant(undefined) },
        { weight: 1, arbitrary: fc.constantFrom(...JSON_NAMES) },
      ),
      label: fc.constantFrom(...labels, ...(syntax === 'proto3' ? [] : ['required' as const])),
      type: fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(...SCALARS) },
        { weight: 1, arbitrary: fc.constantFrom('enum' as const, 'NullValue' as const) },
        { weight: 3, arbitrary: fc.nat(TYPES - 1).map(message => ({ message })) },
        { weight: 2, arbitrary: fc.constantFrom(...WELL_KNOWN) },
        { weight: 1, arbitrary: fc.constant('google.api.HttpBody' as const) },
        ...(syntax === 'proto3' ? [] : [{ weight: 1, arbitrary: fc.constant('group' as const) }]),
      ),
      key: fc.constantFrom(...KEYS),
      isCookie: fc.nat(9).map(number => number === 0),
      ruled: fc.nat(3),
      limit: fc.nat(3),
    })
    .map(({ ruled, limit, ...spec }) => ({ ...spec, rules: ruled === 0 ? rulesFor(spec, limit) : undefined }))
    .filter(({ name, type }) => name !== 'has_own_property' || isPlain(type))
}

/** Whether it is not a message type. The route table rejects message fields with inherited names. */
function isPlain(type: FieldSpec['type']): boolean {
  return typeof type === 'number' || type === 'enum' || type === 'NullValue'
}

/** At most 0, 1 or 2 entries, or at least 2. */
function limitItems(limit: number): RulesSpec {
  return limit === 3 ? { minItems: 2 } : { maxItems: limit }
}

function rulesFor({ type, label }: Pick<FieldSpec, 'type' | 'label'>, limit: number): RulesSpec {
  const items = label === 'list' || label === 'other list' || label === 'map' ? limitItems(limit) : {}
  if (type === ScalarType.STRING) {
    return (
      [{ required: true }, { minLength: 1, maxLength: 5 }, { pattern: '[a-z]*' }, { in: ['', 'a', 'b'] }][limit] ?? {}
    )
  }
  if (type === ScalarType.BYTES) return { ...items, maxLength: limit }
  if (typeof type === 'number' && type !== ScalarType.BOOL) return { ...items, min: -limit, max: 1000 * limit }
  return { ...items, required: limit === 0 }
}
