/**
 * Compiles the standard rules of `buf.validate` to predicates on a value, for the compiled codec and the OpenAPI
 * document. They say whether a value is valid; @bufbuild/protovalidate, the reference, says why not.
 *
 * Not compiled here: formats of strings (`email`, `uri`), CEL and predefined rules, and rules of Any and FieldMask.
 */
import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt'
import type {
  BytesRules,
  EnumRules,
  FieldRules,
  StringRules,
} from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { RE2JS } from 're2js'

/**
 * Whether a value is valid. Values have the types of @bufbuild/protobuf; a Timestamp or Duration is its number of
 * nanoseconds as a bigint, a wrapper its value.
 */
export type Predicate = (value: unknown) => boolean

/** What is known of the rules of a value without @bufbuild/protovalidate. */
export interface StandardRules {
  /** The compiled rules; undefined if every value is valid by them. */
  readonly isValid: Predicate | undefined
  /** Whether `isValid` covers all rules. */
  readonly isComplete: boolean
}

/** Compiles the rules of a singular value or of one entry of a list or map. @throws Error if a pattern is not RE2. */
export function compileStandardRules(rules: FieldRules | undefined, values?: readonly number[]): StandardRules {
  if (rules === undefined) return { isValid: undefined, isComplete: true }
  const checks = [...checksOf(rules, values ?? [])]
  return {
    isValid: checks.length === 0 ? undefined : value => checks.every(check => check(value)),
    isComplete: isComplete(rules),
  }
}

function isComplete({ cel, celExpression, type }: FieldRules): boolean {
  if (cel.length > 0 || celExpression.length > 0) return false
  // Unknown fields are predefined rules.
  if (type.case !== undefined && (type.value.$unknown?.length ?? 0) > 0) return false
  switch (type.case) {
    case 'string':
      return type.value.wellKnown.case === undefined || COMPILED_FORMATS[type.value.wellKnown.case] !== undefined
    case 'any':
    case 'fieldMask':
      return false
    default:
      return true
  }
}

function* checksOf({ type }: FieldRules, values: readonly number[]): Iterable<Predicate> {
  switch (type.case) {
    case undefined:
    case 'any':
    case 'fieldMask':
    case 'repeated':
    case 'map':
      return
    case 'string':
      yield* stringChecks(type.value)
      return
    case 'bytes':
      yield* bytesChecks(type.value)
      return
    case 'enum':
      yield* enumChecks(type.value, values)
      return
    case 'bool':
      if (isSet(type.value, 'const')) yield equals(type.value.const)
      return
    case 'duration':
    case 'timestamp':
      yield* timeChecks(type.value)
      return
    default:
      yield* comparableChecks(type.value, identity)
      if ('finite' in type.value && type.value.finite) yield value => Number.isFinite(value)
  }
}

/** Whether a rule is set. In proto2, an unset field is inherited from the prototype of the message. */
export function isSet(rules: object, name: string): boolean {
  return Object.hasOwn(rules, name)
}

interface ComparableRules {
  readonly const?: unknown
  readonly in: readonly unknown[]
  readonly notIn: readonly unknown[]
  readonly lessThan: { readonly case?: string | undefined; readonly value?: unknown }
  readonly greaterThan: { readonly case?: string | undefined; readonly value?: unknown }
}

type Comparable = number | bigint

/** @param toValue converts a value of a rule to the form in which values are compared. */
function* comparableChecks(rules: ComparableRules, toValue: (value: never) => Comparable): Iterable<Predicate> {
  const convert = toValue as (value: unknown) => Comparable
  if (isSet(rules, 'const')) yield equals(convert(rules.const))
  if (rules.in.length > 0) yield isOneOf(rules.in.map(convert))
  if (rules.notIn.length > 0) yield not(isOneOf(rules.notIn.map(convert)))
  const upper = upperBound(rules.lessThan, convert)
  const lower = lowerBound(rules.greaterThan, convert)
  // If the upper bound is below the lower one, the rules exclude what is between them.
  if (upper !== undefined && lower !== undefined && upper.bound < lower.bound) {
    yield value => upper.isValid(value) || lower.isValid(value)
    return
  }
  if (upper !== undefined) yield upper.isValid
  if (lower !== undefined) yield lower.isValid
}

interface Bound {
  readonly bound: Comparable
  readonly isValid: Predicate
}

function upperBound(rule: ComparableRules['lessThan'], convert: (value: unknown) => Comparable): Bound | undefined {
  if (rule.case !== 'lt' && rule.case !== 'lte') return undefined
  const bound = convert(rule.value)
  // NaN is in no range.
  return {
    bound,
    isValid: rule.case === 'lt' ? value => (value as Comparable) < bound : value => (value as Comparable) <= bound,
  }
}

function lowerBound(rule: ComparableRules['greaterThan'], convert: (value: unknown) => Comparable): Bound | undefined {
  if (rule.case !== 'gt' && rule.case !== 'gte') return undefined
  const bound = convert(rule.value)
  return {
    bound,
    isValid: rule.case === 'gt' ? value => (value as Comparable) > bound : value => (value as Comparable) >= bound,
  }
}

interface TimeRules extends ComparableRules {
  readonly within?: Duration | undefined
}

function* timeChecks(rules: Omit<TimeRules, 'in' | 'notIn'> & Partial<TimeRules>): Iterable<Predicate> {
  const { lessThan, greaterThan } = rules
  yield* comparableChecks({ in: [], notIn: [], ...rules }, toNanos)
  if (lessThan.case === 'ltNow' && lessThan.value) yield value => (value as bigint) <= now()
  if (greaterThan.case === 'gtNow' && greaterThan.value) yield value => (value as bigint) >= now()
  if (rules.within !== undefined) {
    const within = toNanos(rules.within)
    yield value => (value as bigint) >= now() - within && (value as bigint) <= now() + within
  }
}

function toNanos({ seconds, nanos }: Pick<Duration | Timestamp, 'seconds' | 'nanos'>): bigint {
  return seconds * 1_000_000_000n + BigInt(nanos)
}

function now(): bigint {
  return BigInt(Date.now()) * 1_000_000n
}

function* stringChecks(rules: StringRules): Iterable<Predicate> {
  if (isSet(rules, 'const')) yield equals(rules.const)
  if (isSet(rules, 'len')) yield hasLength(rules.len, rules.len, codePoints)
  if (isSet(rules, 'minLen')) yield hasLength(rules.minLen, undefined, codePoints)
  if (isSet(rules, 'maxLen')) yield hasLength(undefined, rules.maxLen, codePoints)
  if (isSet(rules, 'lenBytes')) yield hasLength(rules.lenBytes, rules.lenBytes, Buffer.byteLength)
  if (isSet(rules, 'minBytes')) yield hasLength(rules.minBytes, undefined, Buffer.byteLength)
  if (isSet(rules, 'maxBytes')) yield hasLength(undefined, rules.maxBytes, Buffer.byteLength)
  if (isSet(rules, 'pattern')) yield matches(rules.pattern)
  const { prefix, suffix, contains, notContains } = rules
  if (isSet(rules, 'prefix')) yield value => (value as string).startsWith(prefix)
  if (isSet(rules, 'suffix')) yield value => (value as string).endsWith(suffix)
  if (isSet(rules, 'contains')) yield value => (value as string).includes(contains)
  if (isSet(rules, 'notContains')) yield value => !(value as string).includes(notContains)
  if (rules.in.length > 0) yield isOneOf(rules.in)
  if (rules.notIn.length > 0) yield not(isOneOf(rules.notIn))
  const format = rules.wellKnown.value === true ? COMPILED_FORMATS[rules.wellKnown.case ?? ''] : undefined
  if (format !== undefined) yield value => format.test(value as string)
}

/** Formats with a pattern of bounded length and without choices, so that RegExp takes linear time. */
export const COMPILED_FORMATS: Readonly<Record<string, RegExp | undefined>> = {
  uuid: /^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$/,
  tuuid: /^[0-9a-fA-F]{32}$/,
  ulid: /^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$/,
}

function hasLength(min: bigint | undefined, max: bigint | undefined, lengthOf: (text: string) => number): Predicate {
  const [minimum, maximum] = [Number(min ?? 0n), Number(max ?? Number.MAX_SAFE_INTEGER)]
  return value => {
    const length = lengthOf(value as string)
    return length >= minimum && length <= maximum
  }
}

function codePoints(text: string): number {
  let length = 0
  for (const _ of text) length++
  return length
}

/** RE2 matches in linear time, and a part of the text satisfies it. RegExp has other syntax and may take hours. */
function matches(pattern: string): Predicate {
  const compiled = RE2JS.compile(pattern)
  return value => compiled.test(value as string)
}

function* bytesChecks(rules: BytesRules): Iterable<Predicate> {
  const sizeOf = (value: unknown) => (value as Uint8Array).length
  const { len, minLen, maxLen } = { len: Number(rules.len), minLen: Number(rules.minLen), maxLen: Number(rules.maxLen) }
  if (isSet(rules, 'const')) yield isOneOfBytes([rules.const])
  if (isSet(rules, 'len')) yield value => sizeOf(value) === len
  if (isSet(rules, 'minLen')) yield value => sizeOf(value) >= minLen
  if (isSet(rules, 'maxLen')) yield value => sizeOf(value) <= maxLen
  if (isSet(rules, 'pattern')) {
    const matchesText = matches(rules.pattern)
    yield value => {
      const text = decodeUtf8(value as Uint8Array)
      return text !== undefined && matchesText(text)
    }
  }
  const [prefix, suffix, contains] = [rules.prefix, rules.suffix, rules.contains]
  if (isSet(rules, 'prefix')) yield value => toBuffer(value).subarray(0, prefix.length).equals(prefix)
  if (isSet(rules, 'suffix')) {
    yield value =>
      sizeOf(value) >= suffix.length &&
      toBuffer(value)
        .subarray(sizeOf(value) - suffix.length)
        .equals(suffix)
  }
  if (isSet(rules, 'contains')) yield value => toBuffer(value).includes(contains)
  if (rules.in.length > 0) yield isOneOfBytes(rules.in)
  if (rules.notIn.length > 0) yield not(isOneOfBytes(rules.notIn))
  const sizes = rules.wellKnown.value === true ? FORMAT_SIZES[rules.wellKnown.case] : undefined
  if (sizes !== undefined) yield value => sizes.includes(sizeOf(value))
}

const FORMAT_SIZES: Record<NonNullable<BytesRules['wellKnown']['case']>, readonly number[]> = {
  ip: [4, 16],
  ipv4: [4],
  ipv6: [16],
  uuid: [16],
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

function* enumChecks(rules: EnumRules, values: readonly number[]): Iterable<Predicate> {
  if (isSet(rules, 'const')) yield equals(rules.const)
  if (rules.definedOnly) yield isOneOf(values)
  if (rules.in.length > 0) yield isOneOf(rules.in)
  if (rules.notIn.length > 0) yield not(isOneOf(rules.notIn))
}

function equals(expected: unknown): Predicate {
  return value => value === expected
}

function isOneOf(allowed: readonly unknown[]): Predicate {
  // `===`, not a Set, which finds NaN.
  return value => allowed.some(entry => entry === value)
}

function isOneOfBytes(allowed: readonly Uint8Array[]): Predicate {
  return value => allowed.some(entry => toBuffer(value).equals(entry))
}

function not(isValid: Predicate): Predicate {
  return value => !isValid(value)
}

function toBuffer(value: unknown): Buffer {
  if (Buffer.isBuffer(value)) return value
  const { buffer, byteOffset, length } = value as Uint8Array
  return Buffer.from(buffer, byteOffset, length)
}

function identity(value: never): Comparable {
  return value
}
