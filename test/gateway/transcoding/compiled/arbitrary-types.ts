/** Contracts as fast-check finds them: message types with every kind of field, in proto3, proto2 and editions. */
import { ScalarType } from '@bufbuild/protobuf'
import fc from 'fast-check'

type Syntax = 'proto2' | 'proto3' | 'editions'

/** As plain values, so that a counterexample can be read. */
export interface TypesSpec {
  readonly syntax: Syntax
  /** Whether the second type has an extension. */
  readonly isExtended: boolean
  /** The first is the method's request and response. */
  readonly types: readonly FieldSpec[][]
}

export interface FieldSpec {
  readonly name: string
  readonly number: number
  readonly jsonName: string | undefined
  readonly label: 'plain' | 'optional' | 'list' | 'other list' | 'oneof' | 'map' | 'required'
  readonly type: ScalarType | 'enum' | 'NullValue' | 'group' | `google.protobuf.${string}` | { message: number }
  readonly key: ScalarType
  readonly rules: RulesSpec | undefined
  /** Of the first type's strings some go by cookie. */
  readonly byCookie: boolean
}

interface RulesSpec {
  readonly required?: boolean
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
// Such as JavaScript objects inherit.
const ODD_NAMES = ['to_string', 'constructor', 'has_own_property', '__proto__']
// Such as JSON has to escape among them.
const JSON_NAMES = ['"quoted"', 'ünï', '7', '__proto__', 'id']

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
        { weight: 1, arbitrary: fc.constantFrom(...ODD_NAMES) },
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
        ...(syntax === 'proto3' ? [] : [{ weight: 1, arbitrary: fc.constant('group' as const) }]),
      ),
      key: fc.constantFrom(...KEYS),
      byCookie: fc.nat(9).map(number => number === 0),
      ruled: fc.nat(3),
      limit: fc.nat(3),
    })
    .map(({ ruled, limit, ...spec }) => ({ ...spec, rules: ruled === 0 ? rulesFor(spec, limit) : undefined }))
    .filter(({ name, type }) => name !== 'has_own_property' || isPlain(type))
}

/** Not of a message type: those have no name that every object has, or the route table refuses them. */
function isPlain(type: FieldSpec['type']): boolean {
  return typeof type === 'number' || type === 'enum' || type === 'NullValue'
}

function rulesFor({ type, label }: Pick<FieldSpec, 'type' | 'label'>, limit: number): RulesSpec {
  const items = label === 'list' || label === 'other list' || label === 'map' ? { maxItems: limit } : {}
  if (type === ScalarType.STRING) {
    return (
      [{ required: true }, { minLength: 1, maxLength: 5 }, { pattern: '[a-z]*' }, { in: ['', 'a', 'b'] }][limit] ?? {}
    )
  }
  if (type === ScalarType.BYTES) return { ...items, maxLength: limit }
  if (typeof type === 'number' && type !== ScalarType.BOOL) return { ...items, min: -limit, max: 1000 * limit }
  return { ...items, required: limit === 0 }
}
