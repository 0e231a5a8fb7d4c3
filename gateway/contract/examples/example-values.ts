/** Examples of single values: the first candidate for a field that satisfies its schema and its rules. */
import { type DescField, ScalarType } from '@bufbuild/protobuf'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { RE2JS } from 're2js'
import { rulesOf } from '#runtime/grpc/contract.ts'
import { compileFieldRules } from '#runtime/grpc/rules.ts'
import { type JsonSchema, kindOf, scalarKind } from '../json-schema.ts'
import { examplesInRules } from '../validation/validate-examples.ts'
import { validateRulesOf } from '../validation/validate-options.ts'
import { validateCheck } from './example-rules.ts'
import { booleanFor, identifiersFor, numberFor, textsFor, timeFor } from './example-texts.ts'
import { isPersonName, isUuid, numberInComment, subjectOf, uuidOf, valuesInComment, wordsOf } from './field-words.ts'
import { textOfPattern } from './pattern-text.ts'

/** Maximum length of an example. A field whose rules require a longer value has none. */
const MAX_LENGTH = 1000

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json }

/**
 * Returns an example of a singular field, or of the entries of a list or the values of a map.
 * @param schema of the value. @param isRequest whether the rules of the field apply.
 * @returns `undefined` if no candidate is valid.
 */
export type ValueExample = (
  field: DescField,
  schema: JsonSchema,
  isRequest: boolean,
  position?: number,
) => Json | undefined

/** @returns a function that keeps a compiled validator for each schema. */
export function createValueExamples(): ValueExample {
  const isValidBy = createSchemaCheck()
  return (field, schema, isRequest, position = 0) => {
    const isAllowed = isRequest ? createRuleCheck(field) : () => true
    let skipped = 0
    for (const candidate of [...examplesInRules(field), ...candidatesFor(field, schema)]) {
      if (!isValidBy(schema, candidate) || !isAllowed(candidate)) continue
      if (skipped++ === position) return candidate
    }
    return undefined
  }
}

/** Patterns of a foreign contract may take RegExp exponential time, so RE2 matches them. RE2 matches no text if it rejects one. */
const linearPattern = Object.assign(
  (pattern: string) => {
    try {
      const compiled = RE2JS.compile(pattern)
      return { test: (text: string) => compiled.matcher(text).find() }
    } catch {
      return { test: () => false }
    }
  },
  { code: 'linearPattern' },
)

/** Formats are not validated, because candidates are chosen by their format. */
function createSchemaCheck(): (schema: JsonSchema, value: Json) => boolean {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, code: { regExp: linearPattern } })
  const compiled = new Map<string, ValidateFunction>()
  return ({ description, ...schema }, value) => {
    // Candidates have the right type.
    if (Object.keys(schema).every(keyword => WITHOUT_RULES.has(keyword))) return true
    const key = JSON.stringify(schema)
    let validate = compiled.get(key)
    if (validate === undefined) {
      validate = ajv.compile(schema)
      compiled.set(key, validate)
    }
    return validate(value) === true
  }
}

/** The keywords of fields without rules, whose compilation would take most of the time. */
const WITHOUT_RULES: ReadonlySet<string> = new Set([
  'type',
  'format',
  'contentEncoding',
  'additionalProperties',
  'items',
])

/** Checks the rules that JSON Schema does not state, such as bounds of 64-bit integers. */
function createRuleCheck(field: DescField): (value: Json) => boolean {
  const isAllowed = validateCheck(field) ?? (() => true)
  const isValid = rulesOf(field) === undefined ? undefined : compileFieldRules(field).isValid
  if (isValid === undefined) return isAllowed
  const kind = kindOf(field)
  return value =>
    isAllowed(value) &&
    isValid(
      kind === 'bytes'
        ? Buffer.from(value as string, 'base64')
        : kind === 'int64' || kind === 'uint64'
          ? BigInt(value as string)
          : value,
    )
}

function* candidatesFor(field: DescField, schema: JsonSchema): Iterable<Json> {
  if (schema['const'] !== undefined) yield schema['const'] as Json
  yield* candidatesOfKind(field, schema)
}

function candidatesOfKind(field: DescField, schema: JsonSchema): Iterable<Json> {
  const words = wordsOf(field.name)
  switch (kindOf(field)) {
    case 'boolean':
      return [booleanFor(words), true, false]
    case 'string':
      return textCandidates(field, words, schema)
    case 'enum':
      return enumCandidates(field)
    case 'bytes':
      return bytesCandidates(field)
    case 'int32':
    case 'uint32':
      return numberCandidates(field, schema).map(Math.trunc)
    case 'float':
    case 'double':
      return numberCandidates(field, schema)
    case 'int64':
    case 'uint64': {
      const { min, max } = rulesOf(field) ?? {}
      const numbers = [...numberCandidates(field, schema), min, max, ...boundsOf(field)].filter(
        number => number !== undefined,
      )
      return numbers.filter(Number.isFinite).map(number => String(BigInt(Math.trunc(number))))
    }
    case 'timestamp':
      return [timeFor(words), '2026-11-24T09:30:00Z', '2000-01-01T00:00:00Z', '2100-01-01T00:00:00Z']
    case 'duration':
      return ['30s', '1s', '0.100s', '3600s', '86400s', '0s', '-1s']
    case 'struct':
      return [{ key: 'value' }]
    case 'list-value':
      return [['text', 1]]
    case 'value':
      return ['text']
    case 'any':
      return [{ '@type': 'type.googleapis.com/google.protobuf.Duration', value: '30s' }]
    default:
      return []
  }
}

/** Returns the bounds of the rules of `buf.validate`, and the integers beside them. */
function boundsOf(field: DescField): number[] {
  const rules = validateRulesOf(field)?.type.value as { [rule: string]: unknown } | undefined
  const bounds = [
    rules?.['const'],
    rules?.['lessThan'],
    rules?.['greaterThan'],
    ...((rules?.['in'] ?? []) as unknown[]),
  ]
  const values = bounds.map(bound => Number((bound as { value?: unknown } | undefined)?.value ?? bound))
  return values.filter(Number.isFinite).flatMap(value => [value, value + 1, value - 1])
}

/** By `format` of JSON Schema. */
const FORMATS: Record<string, readonly string[]> = {
  'date-time': ['2026-11-24T09:30:00Z'],
  date: ['2026-11-24'],
  time: ['09:30:00Z'],
  email: ['ada@example.com', 'grace@example.com'],
  uri: ['https://example.com/', 'https://example.com/terms'],
  'uri-reference': ['/terms', '/privacy'],
  hostname: ['example.com', 'api.example.com'],
  ipv4: ['192.0.2.7', '192.0.2.8'],
  ipv6: ['2001:db8::7', '2001:db8::8'],
}

function* textCandidates(field: DescField, words: string, schema: JsonSchema): Iterable<Json> {
  const subject = subjectOf(field)
  const { format, enum: values, pattern, minLength, not } = schema as { [keyword: string]: unknown }
  const known = typeof format === 'string' ? FORMATS[format] : undefined
  if (known !== undefined) return yield* known
  if (format === 'uuid' || (isUuid(field) && values === undefined)) {
    for (let number = 1; number <= 100; number++) yield uuidOf(number === 1 ? subject : `${subject} ${number}`)
    return
  }
  yield* valuesInComment(field)
  if (Array.isArray(values)) yield* values.filter(value => value !== null && value !== '')
  yield* /\b(?:ids?|uuids?|keys?)$/.test(words)
    ? identifiersFor(subject)
    : textsFor(words, subject, isPersonName(field))
  // A text that may be empty has its minimum length as a gap.
  const gap = (not as { maxLength?: number } | undefined)?.maxLength ?? 0
  const minimum = Math.max(typeof minLength === 'number' ? minLength : 1, gap + 1)
  if (minimum > MAX_LENGTH) return
  if (typeof pattern === 'string') {
    for (const length of new Set([minimum, 0, 1, 2, 8, 16])) yield textOfPattern(pattern, length) ?? ''
  }
  yield 'example '.repeat(Math.ceil(minimum / 8) + 1).slice(0, Math.max(minimum, 1))
  for (let number = 2; number <= 100; number++) yield `example-${number}`
}

function enumCandidates(field: DescField): Json[] {
  if (field.enum?.typeName === 'google.protobuf.NullValue') return [null]
  const values = field.enum?.values ?? []
  const named = values.filter(({ name, number }) => number !== 0 && !/UNSPECIFIED|UNKNOWN|UNDEFINED/.test(name))
  return [...named.filter(({ deprecated }) => !deprecated), ...values].map(({ name }) => name)
}

function bytesCandidates(field: DescField): string[] {
  const { minLength = 0, maxLength = 7 } = rulesOf(field) ?? {}
  const lengths = [minLength, maxLength, 1, 4, 8, 16, 32].filter(length => length <= MAX_LENGTH)
  return ['example', ...lengths.map(length => 'e'.repeat(length))].map(text => Buffer.from(text).toString('base64'))
}

function numberCandidates(field: DescField, schema: JsonSchema): number[] {
  const {
    minimum,
    maximum,
    exclusiveMinimum,
    exclusiveMaximum,
    multipleOf,
    enum: values,
  } = schema as {
    [keyword: string]: number | undefined
  }
  const not = schema['not'] as { exclusiveMaximum?: number; exclusiveMinimum?: number } | undefined
  const bounds = [
    minimum,
    maximum,
    exclusiveMinimum === undefined ? undefined : exclusiveMinimum + 1,
    exclusiveMaximum === undefined ? undefined : exclusiveMaximum - 1,
    exclusiveMinimum === undefined || exclusiveMaximum === undefined
      ? undefined
      : (exclusiveMinimum + exclusiveMaximum) / 2,
    multipleOf,
    not?.exclusiveMaximum,
    not?.exclusiveMinimum,
  ]
  const listed = (Array.isArray(values) ? values : []).filter((value): value is number => typeof value === 'number')
  const all = [numberInComment(field), numberFor(wordsOf(field.name)), ...listed, 1, ...bounds, ...boundsOf(field)]
  return [...all, 0.5, 2, 0, -1, 1000].filter(number => number !== undefined)
}

/** Returns the keys of an example of a map. @param count of keys. */
export function mapKeys(field: DescField & { fieldKind: 'map' }, count: number): string[] {
  const { mapKey } = field
  if (mapKey === ScalarType.BOOL) return ['true', 'false'].slice(0, count)
  const isText = scalarKind(mapKey) === 'string'
  return Array.from({ length: count }, (_, at) => (isText ? `key${at === 0 ? '' : at + 1}` : String(at + 1)))
}
