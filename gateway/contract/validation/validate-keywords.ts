/**
 * The rules of `buf.validate` as JSON Schema keywords, as far as JSON Schema can say them. A schema accepts every valid
 * value. It does not say: CEL, octets of a string, bounds of 64-bit numbers (strings in JSON) and of times.
 */
import type { DescField } from '@bufbuild/protobuf'
import { scalarZeroValue } from '@bufbuild/protobuf/reflect'
import { FeatureSet_FieldPresence as FieldPresence } from '@bufbuild/protobuf/wkt'
import type { BytesRules, EnumRules, StringRules } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { type JsonSchema, kindOf } from '../json-schema.ts'
import { isOutputOnly, isRequiredByBehavior } from './field-behavior.ts'
import { portableRe2 } from './re2-pattern.ts'
import { COMPILED_FORMATS, compileStandardRules, isSet } from './standard-rules.ts'
import { type FieldRules, Ignore, ignoreOf, validateRulesOf } from './validate-options.ts'

/** Whether a request must set the field, by its rules or as a REQUIRED field. */
export function isRequiredInRequests(field: DescField): boolean {
  return isRequiredByBehavior(field) || isRequiredByRules(field)
}

/** Whether the rules require the field, or reject the value that an unset field has. */
export function isRequiredByRules(field: DescField): boolean {
  const rules = appliedRules(field)
  if (rules === undefined || rules.required) return rules !== undefined
  if (ignoreOf(field, rules) === Ignore.IF_ZERO_VALUE) return false
  const { type } = rules
  if (type.case === 'repeated') return type.value.minItems > 0n
  if (type.case === 'map') return type.value.minPairs > 0n
  return field.presence === FieldPresence.IMPLICIT && field.message === undefined && rejectsZero(field, rules)
}

function rejectsZero(field: DescField, rules: FieldRules): boolean {
  const { type } = rules
  // An empty string has no other format.
  const format = type.case === 'string' && type.value.wellKnown.value === true ? type.value.wellKnown.case : undefined
  if (format !== undefined && format !== 'uriRef') return true
  const zero = field.enum === undefined ? scalarZeroValue(field.scalar ?? 9, false) : field.enum.values[0]?.number
  const defined = field.enum?.values.map(({ number }) => number)
  return compileStandardRules(rules, defined).isValid?.(zero) === false
}

/** Returns the rules that apply to the field in a request; undefined if there are none. */
function appliedRules(field: DescField): FieldRules | undefined {
  const rules = isOutputOnly(field) ? undefined : validateRulesOf(field)
  return rules !== undefined && ignoreOf(field, rules) === Ignore.ALWAYS ? undefined : rules
}

/**
 * Returns the keywords of a singular field, or of each entry of a list or map.
 * @param isDemanded whether the field is REQUIRED in this place.
 */
export function validateKeywords(field: DescField, isDemanded: boolean): JsonSchema {
  const rules = appliedRules(field)
  const isRepeated = field.fieldKind === 'list' || field.fieldKind === 'map'
  if (isRepeated) {
    const entries = rules && entryRules(rules)
    return entries === undefined ? {} : valueKeywords(field, entries, entries.ignore === Ignore.IF_ZERO_VALUE, false)
  }
  const isImplicit = field.presence === FieldPresence.IMPLICIT && field.message === undefined
  const rejectsDefault = isImplicit && (isDemanded || rules?.required === true)
  const acceptsDefault = isImplicit && !rejectsDefault && ignoreOf(field, rules) === Ignore.IF_ZERO_VALUE
  if (rules === undefined && !rejectsDefault) return {}
  return valueKeywords(field, rules, acceptsDefault, rejectsDefault)
}

function entryRules({ type }: FieldRules): FieldRules | undefined {
  const entries = type.case === 'repeated' ? type.value.items : type.case === 'map' ? type.value.values : undefined
  return entries?.ignore === Ignore.ALWAYS ? undefined : entries
}

/** Returns the keywords of a whole list or map. @param isDemanded as for `validateKeywords`. */
export function validateSizeKeywords(field: DescField, isDemanded: boolean): JsonSchema {
  const rules = appliedRules(field)
  const required = isDemanded || rules?.required === true
  const acceptsEmpty = !required && ignoreOf(field, rules) === Ignore.IF_ZERO_VALUE
  const type = rules?.type
  if (field.fieldKind === 'map') {
    const map = type?.case === 'map' ? type.value : undefined
    const min = Math.max(acceptsEmpty ? 0 : Number(map?.minPairs ?? 0n), required ? 1 : 0)
    const keys = map?.keys?.type.case === 'string' ? textKeywords(map.keys.type.value, false) : undefined
    return {
      ...(min > 0 && { minProperties: min }),
      ...(map !== undefined && isSet(map, 'maxPairs') && { maxProperties: Number(map.maxPairs) }),
      ...(keys !== undefined && map?.keys?.ignore === Ignore.UNSPECIFIED && { propertyNames: merge(keys) }),
    }
  }
  const list = type?.case === 'repeated' ? type.value : undefined
  const min = Math.max(acceptsEmpty ? 0 : Number(list?.minItems ?? 0n), required ? 1 : 0)
  return {
    ...(min > 0 && { minItems: min }),
    ...(list !== undefined && isSet(list, 'maxItems') && { maxItems: Number(list.maxItems) }),
    ...(list?.unique === true && { uniqueItems: true }),
  }
}

/** Keywords to be combined: a schema has one `not` and one `pattern`. */
interface Keywords {
  readonly plain: JsonSchema
  readonly patterns?: readonly string[]
  readonly not?: readonly JsonSchema[]
}

function merge({ plain, patterns = [], not = [] }: Keywords): JsonSchema {
  const [pattern, ...others] = patterns
  return {
    ...plain,
    ...(pattern !== undefined && { pattern }),
    ...(others.length > 0 && { allOf: others.map(other => ({ pattern: other })) }),
    ...(not.length > 0 && { not: not.length === 1 ? not[0] : { anyOf: not } }),
  }
}

function valueKeywords(
  field: DescField,
  rules: FieldRules | undefined,
  acceptsDefault: boolean,
  rejectsDefault: boolean,
): JsonSchema {
  const type = rules?.type
  switch (kindOf(field)) {
    case 'string': {
      const { plain, ...more } = type?.case === 'string' ? textKeywords(type.value, acceptsDefault) : { plain: {} }
      const minLength = Math.max(Number(plain['minLength'] ?? 0), rejectsDefault ? 1 : 0)
      return merge({ plain: { ...plain, ...(minLength > 0 && { minLength }) }, ...more })
    }
    case 'bytes': {
      const plain = type?.case === 'bytes' ? bytesKeywords(type.value, acceptsDefault) : {}
      const minLength = Math.max(Number(plain['minLength'] ?? 0), rejectsDefault ? 1 : 0)
      return { ...plain, ...(minLength > 0 && { minLength }) }
    }
    case 'boolean':
      if (rejectsDefault) return { enum: [true] }
      return type?.case === 'bool' && isSet(type.value, 'const') && !(acceptsDefault && type.value.const)
        ? { enum: [type.value.const] }
        : {}
    case 'enum':
      return enumKeywords(field, type?.case === 'enum' ? type.value : undefined, acceptsDefault, rejectsDefault)
    case 'int32':
    case 'uint32':
    case 'float':
    case 'double':
      return merge(numberKeywords(numericRules(type), acceptsDefault, rejectsDefault))
    case 'int64':
    case 'uint64':
      return merge(integerTextKeywords(numericRules(type), acceptsDefault, rejectsDefault))
    default:
      return {}
  }
}

/** JSON Schema formats of `StringRules`. The other formats have a pattern or no counterpart. */
const FORMATS: Record<string, string | undefined> = {
  email: 'email',
  hostname: 'hostname',
  ipv4: 'ipv4',
  ipv6: 'ipv6',
  uri: 'uri',
  uriRef: 'uri-reference',
  uuid: 'uuid',
}

function textKeywords(rules: StringRules, acceptsEmpty: boolean): Keywords {
  const min = Math.max(Number(rules.minLen), Number(rules.len), Math.ceil(Number(rules.minBytes) / 4))
  const limits = ['maxLen', 'len', 'maxBytes', 'lenBytes'] as const
  const max = Math.min(...limits.filter(name => isSet(rules, name)).map(name => Number(rules[name])))
  const allowed = isSet(rules, 'const') ? [rules.const] : rules.in
  const format = rules.wellKnown.value === true ? rules.wellKnown.case : undefined
  const patterns = [
    ...(isSet(rules, 'pattern') ? [portableRe2(rules.pattern)] : []),
    ...(isSet(rules, 'prefix') ? [`^${RegExp.escape(rules.prefix)}`] : []),
    ...(isSet(rules, 'suffix') ? [`${RegExp.escape(rules.suffix)}$`] : []),
    ...(isSet(rules, 'contains') ? [RegExp.escape(rules.contains)] : []),
    ...(format === undefined ? [] : [COMPILED_FORMATS[format]?.source]),
  ].filter(pattern => pattern !== undefined)
  const jsonFormat = format && FORMATS[format]
  return {
    plain: {
      ...(min > 0 && !acceptsEmpty && { minLength: min }),
      ...(Number.isFinite(max) && { maxLength: max }),
      ...(allowed.length > 0 && { enum: [...new Set(acceptsEmpty ? [...allowed, ''] : allowed)] }),
      ...(jsonFormat !== undefined && !acceptsEmpty && { format: jsonFormat }),
    },
    // An empty text need not match.
    patterns: acceptsEmpty ? patterns.map(pattern => `^$|${pattern}`) : patterns,
    not: [
      ...(rules.notIn.length > 0 ? [{ enum: rules.notIn }] : []),
      ...(rules.notContains === '' ? [] : [{ type: 'string', pattern: RegExp.escape(rules.notContains) }]),
      ...(acceptsEmpty && min > 1 ? [{ type: 'string', minLength: 1, maxLength: min - 1 }] : []),
    ],
  }
}

/** The length of base64: n octets have at least 4n/3 characters, and with padding a multiple of 4. */
function bytesKeywords(rules: BytesRules, acceptsEmpty: boolean): JsonSchema {
  const min = Math.max(Number(rules.minLen), Number(rules.len))
  const max = Math.min(
    ...(['maxLen', 'len'] as const).filter(name => isSet(rules, name)).map(name => Number(rules[name])),
  )
  return {
    ...(min > 0 && !acceptsEmpty && { minLength: Math.ceil((min * 4) / 3) }),
    ...(Number.isFinite(max) && { maxLength: Math.ceil(max / 3) * 4 }),
  }
}

function enumKeywords(
  field: DescField,
  rules: EnumRules | undefined,
  acceptsDefault: boolean,
  rejectsDefault: boolean,
): JsonSchema {
  const values = field.enum?.values ?? []
  const zero = values[0]?.number
  const isValid =
    rules &&
    compileStandardRules(
      wrap(rules),
      values.map(({ number }) => number),
    ).isValid
  const allowed = values.filter(
    ({ number }) =>
      !(rejectsDefault && number === zero) && ((acceptsDefault && number === zero) || isValid?.(number) !== false),
  )
  return allowed.length < values.length ? { enum: allowed.map(({ name }) => name) } : {}
}

function wrap(rules: EnumRules): FieldRules {
  return { cel: [], celExpression: [], type: { case: 'enum', value: rules } } as unknown as FieldRules
}

interface NumericRules {
  readonly const?: number | bigint
  readonly in: readonly (number | bigint)[]
  readonly notIn: readonly (number | bigint)[]
  readonly lessThan: { readonly case?: string | undefined; readonly value?: unknown }
  readonly greaterThan: { readonly case?: string | undefined; readonly value?: unknown }
}

const NUMERIC = /^(?:float|double|[su]?int(?:32|64)|s?fixed(?:32|64))$/

function numericRules(type: FieldRules['type'] | undefined): NumericRules | undefined {
  return type?.case !== undefined && NUMERIC.test(type.case) ? (type.value as NumericRules) : undefined
}

function numberKeywords(rules: NumericRules | undefined, acceptsZero: boolean, rejectsZero: boolean): Keywords {
  const allowed = allowedNumbers(rules, acceptsZero)
  const excluded = [...(rules?.notIn ?? []), ...(rejectsZero ? [0] : [])].filter(
    number => !(acceptsZero && number === 0),
  )
  const upper = rules?.lessThan.case === undefined ? undefined : Number(rules.lessThan.value)
  const lower = rules?.greaterThan.case === undefined ? undefined : Number(rules.greaterThan.value)
  const maximum = rules?.lessThan.case === 'lt' ? 'exclusiveMaximum' : 'maximum'
  const minimum = rules?.greaterThan.case === 'gt' ? 'exclusiveMinimum' : 'minimum'
  const isExclusive = upper !== undefined && lower !== undefined && upper < lower
  // Values from the upper to the lower bound are invalid; a bound itself is valid if the rule includes it.
  const gap = isExclusive && {
    type: 'number',
    [maximum === 'maximum' ? 'exclusiveMinimum' : 'minimum']: upper,
    [minimum === 'minimum' ? 'exclusiveMaximum' : 'maximum']: lower,
  }
  const isInGap = upper !== undefined && lower !== undefined && upper <= 0 && lower >= 0
  return {
    plain: {
      ...(allowed.length > 0 && { enum: allowed }),
      ...(!isExclusive && lower !== undefined && !(acceptsZero && lower >= 0) && { [minimum]: lower }),
      ...(!isExclusive && upper !== undefined && !(acceptsZero && upper <= 0) && { [maximum]: upper }),
    },
    not: [...(excluded.length > 0 ? [{ enum: excluded }] : []), ...(gap && !(acceptsZero && isInGap) ? [gap] : [])],
  }
}

function allowedNumbers(rules: NumericRules | undefined, acceptsZero: boolean): (number | bigint)[] {
  if (rules === undefined) return []
  const allowed = isSet(rules, 'const') && rules.const !== undefined ? [rules.const] : rules.in
  return allowed.length > 0 && acceptsZero ? [...new Set([...allowed, 0])] : [...allowed]
}

/** In JSON, 64-bit integers are strings, to which `minimum` and `maximum` do not apply. */
function integerTextKeywords(rules: NumericRules | undefined, acceptsZero: boolean, rejectsZero: boolean): Keywords {
  const allowed = [...new Set(allowedNumbers(rules, acceptsZero).map(String))]
  const excluded = [...(rules?.notIn.map(String) ?? []), ...(rejectsZero ? ['0'] : [])]
  return {
    plain: allowed.length > 0 ? { enum: allowed } : {},
    not: excluded.length > 0 && !acceptsZero ? [{ enum: excluded }] : [],
  }
}
