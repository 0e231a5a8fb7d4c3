/**
 * Validation of messages by the field rules of the contract (`edge.v1.rules`), compiled once per message type.
 *
 * The gateway and each service use the same validator. It accepts messages of @bufbuild/protobuf and of ts-proto, which
 * use the same field names. Rules of an unset field do not apply, except `required`.
 */
import { domainToASCII } from 'node:url'
import { type DescField, type DescMessage, type DescOneof, ScalarType } from '@bufbuild/protobuf'
import { FeatureSet_FieldPresence as FieldPresence } from '@bufbuild/protobuf/wkt'
import { z } from 'zod'
import type { Violation } from '../status.ts'
import { ContractError, Format, type Rules, rulesOf } from './contract.ts'

/** Returns all violations of a message, in the order of its fields; an empty array if it is valid. */
export type MessageValidator = (message: object) => Violation[]

type Report = (field: string, description: string) => void
type Check = (message: Record<string, unknown>, path: string, report: Report) => void
type ValueCheck = (value: unknown, path: string, report: Report) => void

/**
 * Compiles the rules of a message and of the messages in its fields.
 * @throws ContractError if a rule does not apply to the type of its field.
 */
export function compileRules(schema: DescMessage): MessageValidator {
  const check = compileMessage(schema, new Map())
  return message => {
    const violations: Violation[] = []
    check(message as Record<string, unknown>, '', (field, description) => violations.push({ field, description }))
    return violations
  }
}

function compileMessage(schema: DescMessage, known: Map<DescMessage, Check>): Check {
  const compiled = known.get(schema)
  if (compiled !== undefined) return compiled
  const checks: Check[] = []
  const check: Check = (message, path, report) => {
    for (const checkField of checks) checkField(message, path, report)
  }
  // Set before the fields are compiled, so that a recursive message finds its own entry.
  known.set(schema, check)
  for (const field of schema.fields) {
    const fieldCheck = compileField(field, known)
    if (fieldCheck !== undefined) checks.push(fieldCheck)
  }
  return check
}

function compileField(field: DescField, known: Map<DescMessage, Check>): Check | undefined {
  const rules = rulesOf(field)
  if (rules !== undefined) assertRulesFit(field, rules)
  const value = compileValue(field, rules, known)
  const isRequired = isRequiredField(field)
  const { minItems, maxItems } = rules ?? {}
  if (value === undefined && !isRequired && minItems === undefined && maxItems === undefined) return undefined

  const read = createReader(field)
  return (message, path, report) => {
    const fieldPath = path === '' ? field.jsonName : `${path}.${field.jsonName}`
    const found = read(message)
    if (isUnset(field, found)) {
      if (isRequired) report(fieldPath, 'is required')
      return
    }
    if (field.fieldKind === 'list' || field.fieldKind === 'map') {
      const entries = entriesOf(found)
      if (minItems !== undefined && entries.length < minItems) {
        report(fieldPath, tooFewEntries(entries.length, minItems))
      }
      if (maxItems !== undefined && entries.length > maxItems) {
        report(fieldPath, `has ${entries.length} entries, the maximum is ${maxItems}`)
      }
      if (value !== undefined) for (const [key, entry] of entries) value(entry, `${fieldPath}[${key}]`, report)
    } else {
      value?.(found, fieldPath, report)
    }
  }
}

/** Description of a violation of `min_items`. */
export function tooFewEntries(count: number, minimum: number): string {
  return `has ${count} ${count === 1 ? 'entry' : 'entries'}, the minimum is ${minimum}`
}

/** Whether the field must be set: by its rules, or as a required field of proto2 and of editions. */
function isRequiredField(field: DescField): boolean {
  return field.presence === FieldPresence.LEGACY_REQUIRED || rulesOf(field)?.required === true
}

/** Reads a field. The property of a oneof holds `{case, value}`, with ts-proto `{$case, value}`. */
function createReader(field: DescField): (message: Record<string, unknown>) => unknown {
  const oneof: DescOneof | undefined = field.oneof
  if (oneof === undefined) {
    const { localName } = field
    // In proto2 an unset field of @bufbuild/protobuf inherits its default from the prototype.
    return message => (Object.hasOwn(message, localName) ? message[localName] : undefined)
  }
  return message => {
    const member = message[oneof.localName] as { case?: string; $case?: string; value?: unknown } | undefined
    return (member?.case ?? member?.$case) === field.localName ? member?.value : undefined
  }
}

function isUnset(field: DescField, value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (field.fieldKind === 'list' || field.fieldKind === 'map') return entriesOf(value).length === 0
  if (field.presence !== FieldPresence.IMPLICIT) return false
  return (
    value === '' ||
    value === 0 ||
    value === 0n ||
    value === false ||
    (value instanceof Uint8Array && value.length === 0)
  )
}

function entriesOf(value: unknown): [string | number, unknown][] {
  if (Array.isArray(value)) return value.map((entry, index) => [index, entry])
  return value instanceof Map ? [...value] : Object.entries(value as object)
}

function compileValue(
  field: DescField,
  rules: Rules | undefined,
  known: Map<DescMessage, Check>,
): ValueCheck | undefined {
  if (field.message !== undefined) {
    // Well-known types have no rules, and the value of a Struct is JSON of any shape.
    if (field.message.typeName.startsWith('google.protobuf.')) return undefined
    const nested = compileMessage(field.message, known)
    return (value, path, report) => nested(value as Record<string, unknown>, path, report)
  }
  if (rules === undefined) return undefined
  const checks = [...ruleChecks(field, rules)]
  return checks.length === 0
    ? undefined
    : (value, path, report) => {
        for (const check of checks) {
          const description = check(value)
          if (description !== undefined) report(path, description)
        }
      }
}

/** Returns the description of the violation; undefined if the value is valid. */
type RuleCheck = (value: unknown) => string | undefined

/** The rules of one field, for codecs that validate a value before the message exists. */
export interface FieldRules {
  readonly required: boolean
  /** Minimum number of entries of a list or map that is given. 1 if the field is required, else 0 by default. */
  readonly minItems: number
  /** Maximum number of entries of a list or map. */
  readonly maxItems: number | undefined
  /** Validates a value, or one entry of a list or map; undefined if every value is valid. */
  readonly isValid: ((value: unknown) => boolean) | undefined
}

/** Compiles the rules of one field. @throws ContractError if a rule does not apply to the type of the field. */
export function compileFieldRules(field: DescField): FieldRules {
  const rules = rulesOf(field)
  if (rules === undefined) return { required: false, minItems: 0, maxItems: undefined, isValid: undefined }
  assertRulesFit(field, rules)
  const checks = [...ruleChecks(field, rules)]
  const isValid =
    checks.length === 0 ? undefined : (value: unknown) => checks.every(check => check(value) === undefined)
  const { required, maxItems } = rules
  return { required, minItems: minItemsOf(rules), maxItems, isValid }
}

/** The minimum number of entries of a list or map that is given in JSON: `[]` sets no field. */
export function minItemsOf({ required, minItems = 0 }: Rules): number {
  return required ? Math.max(1, minItems) : minItems
}

function* ruleChecks(field: DescField, rules: Rules): Iterable<RuleCheck> {
  const { minLength, maxLength, min, max } = rules
  const unit = isBytes(field) ? 'bytes' : 'characters'
  if (minLength !== undefined) {
    yield value => (lengthOf(value) < minLength ? `is shorter than ${minLength} ${unit}` : undefined)
  }
  if (maxLength !== undefined) {
    // Code units are an upper bound of code points and need not be counted.
    yield value =>
      (value as string | Uint8Array).length > maxLength && lengthOf(value) > maxLength
        ? `is longer than ${maxLength} ${unit}`
        : undefined
  }
  if (rules.pattern !== '') {
    const pattern = new RegExp(`^(?:${rules.pattern})$`, 'v')
    yield value => (pattern.test(value as string) ? undefined : `does not match ${rules.pattern}`)
  }
  const format = FORMATS[rules.format]
  if (format !== undefined) yield value => (format.test(value as string) ? undefined : `is not ${format.name}`)
  // Negated comparisons, so that NaN violates every range.
  if (min !== undefined) yield value => (!((value as number) >= min) ? `is less than ${min}` : undefined)
  if (max !== undefined) yield value => (!((value as number) <= max) ? `is more than ${max}` : undefined)
  if (rules.in.length > 0) {
    const allowed = new Set(rules.in)
    yield value => (allowed.has(value as string) ? undefined : `is not one of ${rules.in.join(', ')}`)
  }
}

/** Length in bytes, or in code points, which `maxLength` of JSON Schema counts. */
function lengthOf(value: unknown): number {
  if (value instanceof Uint8Array) return value.length
  let length = 0
  for (const _ of value as string) length++
  return length
}

/** The formats of `edge.v1.Format`: name for descriptions, `format` of JSON Schema, and predicate. */
export const FORMATS: Record<Format, { name: string; jsonSchema: string; test(text: string): boolean } | undefined> = {
  [Format.UNSPECIFIED]: undefined,
  [Format.EMAIL]: { name: 'an e-mail address', jsonSchema: 'email', test: isEmail },
  [Format.UUID]: { name: 'a UUID', jsonSchema: 'uuid', test: text => UUID.test(text) },
  [Format.URI]: {
    name: 'an absolute URI',
    jsonSchema: 'uri',
    test: text => /^[a-z][a-z0-9+.\-]*:/iv.test(text) && URL.canParse(text),
  },
}

const UUID = z.regexes.uuid()

function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@')
  const domain = domainToASCII(text.slice(at + 1))
  return at > 0 && domain !== '' && z.regexes.html5Email.test(`${text.slice(0, at)}@${domain}`)
}

const NUMERIC = new Set<ScalarType | undefined>([
  ScalarType.DOUBLE,
  ScalarType.FLOAT,
  ScalarType.INT32,
  ScalarType.INT64,
  ScalarType.UINT32,
  ScalarType.UINT64,
  ScalarType.SINT32,
  ScalarType.SINT64,
  ScalarType.FIXED32,
  ScalarType.FIXED64,
  ScalarType.SFIXED32,
  ScalarType.SFIXED64,
])

function isBytes(field: DescField): boolean {
  return field.scalar === ScalarType.BYTES
}

/** Rejects rules that do not apply to the type of the field and would validate nothing. */
function assertRulesFit(field: DescField, rules: Rules): void {
  const isString = field.scalar === ScalarType.STRING
  const misfits = [
    !isString &&
      (rules.pattern !== '' || rules.format !== Format.UNSPECIFIED || rules.in.length > 0) &&
      'pattern, format and in',
    !isString &&
      !isBytes(field) &&
      (rules.minLength !== undefined || rules.maxLength !== undefined) &&
      'min_length and max_length',
    !NUMERIC.has(field.scalar) && (rules.min !== undefined || rules.max !== undefined) && 'min and max',
    field.fieldKind !== 'list' &&
      field.fieldKind !== 'map' &&
      (rules.minItems !== undefined || rules.maxItems !== undefined) &&
      'min_items and max_items',
  ].filter(misfit => misfit !== false)
  if (misfits.length > 0) {
    throw new ContractError(`${field.parent.typeName}.${field.name}: ${misfits.join(', ')} do not apply to its type`)
  }
}
