/**
 * All rules of a field for its encoder: `edge.v1.rules`, `google.api.field_behavior` and `buf.validate`. The compiled
 * codec accepts no message that the reference rejects. It may fall back for one that the reference accepts, such as an
 * update that does not name a REQUIRED field.
 */
import { type DescField, type DescMessage, type FileRegistry, type JsonValue, ScalarType } from '@bufbuild/protobuf'
import { scalarZeroValue } from '@bufbuild/protobuf/reflect'
import { FeatureSet_FieldPresence as FieldPresence, isWrapperDesc } from '@bufbuild/protobuf/wkt'
import { compileFieldRules } from '#runtime/grpc/rules.ts'
import { isOutputOnly, isRequiredByBehavior } from '../../contract/validation/field-behavior.ts'
import { compileStandardRules, type Predicate } from '../../contract/validation/standard-rules.ts'
import {
  type FieldRules,
  Ignore,
  ignoreOf,
  isRequiredOneof,
  messageRulesOf,
  validateRulesOf,
} from '../../contract/validation/validate-options.ts'
import { evaluateRules } from '../../contract/validation/validator.ts'
import { scalarEncoder } from './scalar-encoders.ts'
import { parseDuration, parseTimestamp, toNanos } from './time-parsers.ts'

/** The rules of a field. Undefined members mean that every value is valid. */
export interface EncoderRules {
  /** Whether an unset field is invalid. Without presence, a zero value is unset. */
  readonly required: boolean
  /** Minimum number of entries of a list or map that is present; at least 1 if it is required. */
  readonly minItems: number
  readonly maxItems: number
  /** Whether the entries of a list differ from each other. */
  readonly isUnique: boolean
  /** Validates a scalar value, or one entry of a list or map. */
  readonly isValid: Predicate | undefined
  /** Validates a key of a map. */
  readonly isValidKey: Predicate | undefined
  /** Validates the JSON of a message of a well-known type, or of one entry of a list or map. */
  readonly isValidMessage: ((json: JsonValue) => boolean) | undefined
  /** Whether the value is parsed and not written, because the service sets the field. */
  readonly isOutputOnly: boolean
}

/**
 * Whether a message has rules that need the message: CEL of the message, and CEL, predefined rules or unusual types in a
 * list, map or message field. Such messages use the reference codec.
 */
export function needsReferenceRules(schema: DescMessage): boolean {
  const rules = messageRulesOf(schema)
  if (rules !== undefined && rules.cel.length + rules.celExpression.length + rules.oneof.length > 0) return true
  return schema.fields.some(field => !isOutputOnly(field) && !isCompilableField(field, validateRulesOf(field)))
}

/** Returns the members of each oneof that must have one. OUTPUT_ONLY members are never set. */
export function requiredChoices(schema: DescMessage): DescField[][] {
  return schema.oneofs.filter(isRequiredOneof).map(({ fields }) => fields.filter(field => !isOutputOnly(field)))
}

function isCompilableField(field: DescField, rules: FieldRules | undefined): boolean {
  if (rules === undefined || ignoreOf(field, rules) === Ignore.ALWAYS) return true
  if (field.fieldKind !== 'list' && field.fieldKind !== 'map') return isCompilableValue(field, rules)
  if (rules.cel.length + rules.celExpression.length > 0 || (rules.type.value?.$unknown?.length ?? 0) > 0) return false
  const { type } = rules
  if (type.case === 'repeated') {
    return isCompilableValue(field, type.value.items) && !(type.value.unique && field.message !== undefined)
  }
  return type.case !== 'map' || isCompilableValue(field, type.value.values)
}

function isCompilableValue(field: DescField, rules: FieldRules | undefined): boolean {
  if (rules === undefined || rules.ignore === Ignore.ALWAYS) return true
  // The reference evaluates rules of a scalar, see `ofType`.
  if (field.message !== undefined && isWrapperDesc(field.message))
    return rules.cel.length + rules.celExpression.length === 0
  return (field.message === undefined && field.enum === undefined) || compileStandardRules(rules).isComplete
}

/** Compiles the rules of a field. @throws ContractError if a rule does not apply to the type of the field. */
export function compileEncoderRules(field: DescField, registry: FileRegistry): EncoderRules {
  const edge = compileFieldRules(field)
  const rules = validateRulesOf(field)
  const ignore = ignoreOf(field, rules)
  const isApplied = rules !== undefined && ignore !== Ignore.ALWAYS && !isOutputOnly(field)
  const required = edge.required || isRequiredByBehavior(field) || (isApplied && rules.required)
  const own: EncoderRules = {
    required,
    minItems: Math.max(edge.minItems, required ? 1 : 0),
    maxItems: edge.maxItems ?? Number.MAX_SAFE_INTEGER,
    isUnique: false,
    isValid: edge.isValid,
    isValidKey: undefined,
    isValidMessage: undefined,
    isOutputOnly: isOutputOnly(field),
  }
  if (!isApplied) return own
  const validatesUnset = ignore !== Ignore.IF_ZERO_VALUE
  switch (field.fieldKind) {
    case 'list':
      return withListRules(own, field, rules, validatesUnset, registry)
    case 'map':
      return withMapRules(own, field, rules, validatesUnset, registry)
    default: {
      const isValid = scalarPredicate(field, rules, registry)
      const isZeroRejected = field.presence === FieldPresence.IMPLICIT && isValid?.(zeroValue(field)) === false
      return {
        ...own,
        required: required || (validatesUnset && isZeroRejected),
        isValid: both(own.isValid, isValid),
        isValidMessage: messagePredicate(field, rules, registry),
      }
    }
  }
}

function withListRules(
  own: EncoderRules,
  field: DescField,
  { type }: FieldRules,
  validatesUnset: boolean,
  registry: FileRegistry,
): EncoderRules {
  if (type.case !== 'repeated') return own
  const { minItems, maxItems, items, unique } = type.value
  return {
    ...own,
    required: own.required || (validatesUnset && minItems > 0n),
    minItems: Math.max(own.minItems, Number(minItems)),
    maxItems: Object.hasOwn(type.value, 'maxItems') ? Math.min(own.maxItems, Number(maxItems)) : own.maxItems,
    isUnique: unique,
    isValid: both(own.isValid, exceptZero(items?.ignore, scalarPredicate(field, items, registry), zeroValue(field))),
    isValidMessage: messagePredicate(field, items, registry),
  }
}

function withMapRules(
  own: EncoderRules,
  field: DescField & { fieldKind: 'map' },
  { type }: FieldRules,
  validatesUnset: boolean,
  registry: FileRegistry,
): EncoderRules {
  if (type.case !== 'map') return own
  const { minPairs, maxPairs, keys, values } = type.value
  const zeroKey = scalarZeroValue(field.mapKey, false)
  return {
    ...own,
    required: own.required || (validatesUnset && minPairs > 0n),
    minItems: Math.max(own.minItems, Number(minPairs)),
    maxItems: Object.hasOwn(type.value, 'maxPairs') ? Math.min(own.maxItems, Number(maxPairs)) : own.maxItems,
    isValid: both(own.isValid, exceptZero(values?.ignore, scalarPredicate(field, values, registry), zeroValue(field))),
    isValidKey: exceptZero(keys?.ignore, ofType(field.mapKey, keys, registry), zeroKey),
    isValidMessage: messagePredicate(field, values, registry),
  }
}

function scalarPredicate(
  field: DescField,
  rules: FieldRules | undefined,
  registry: FileRegistry,
): Predicate | undefined {
  if (field.message !== undefined) return undefined
  if (field.enum === undefined) return ofType(field.scalar ?? ScalarType.STRING, rules, registry)
  const defined = field.enum.values.map(({ number }) => number)
  return compileStandardRules(rules, defined).isValid
}

/** Compiles the rules of a scalar. The reference evaluates what is not a standard rule. */
function ofType(type: ScalarType, rules: FieldRules | undefined, registry: FileRegistry): Predicate | undefined {
  if (rules === undefined) return undefined
  const { isValid, isComplete } = compileStandardRules(rules)
  const all = isComplete ? isValid : evaluateRules(rules, type, registry)
  // The upstream receives a float of 32 bits.
  return all && type === ScalarType.FLOAT ? value => all(Math.fround(value as number)) : all
}

/** Applies `ignore` of an entry of a list or map. */
function exceptZero(ignore: Ignore | undefined, isValid: Predicate | undefined, zero: unknown): Predicate | undefined {
  if (isValid === undefined || ignore === Ignore.ALWAYS) return undefined
  if (ignore !== Ignore.IF_ZERO_VALUE) return isValid
  if (zero instanceof Uint8Array) return value => (value as Uint8Array).length === 0 || isValid(value)
  return value => value === zero || isValid(value)
}

function messagePredicate(
  { message }: DescField,
  rules: FieldRules | undefined,
  registry: FileRegistry,
): ((json: JsonValue) => boolean) | undefined {
  if (message === undefined || rules === undefined || rules.ignore === Ignore.ALWAYS) return undefined
  if (isWrapperDesc(message)) {
    const [field] = message.fields
    const encoder = scalarEncoder(field)
    const isValid = ofType(field.scalar, rules, registry)
    return encoder && isValid && (json => isValid(encoder.parse(json)))
  }
  const { isValid } = compileStandardRules(rules)
  if (isValid === undefined) return undefined
  return message.typeName === 'google.protobuf.Timestamp'
    ? json => isValid(toNanos(parseTimestamp(json)))
    : json => isValid(toNanos(parseDuration(json)))
}

function zeroValue(field: DescField): unknown {
  return field.enum === undefined
    ? scalarZeroValue(field.scalar ?? ScalarType.STRING, false)
    : field.enum.values[0]?.number
}

function both(first: Predicate | undefined, second: Predicate | undefined): Predicate | undefined {
  if (first === undefined || second === undefined) return first ?? second
  return value => first(value) && second(value)
}
