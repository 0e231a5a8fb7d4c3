/** Examples of values that rules of `buf.validate` give or demand. */
import type { DescField } from '@bufbuild/protobuf'
import { type FieldRules, validateRulesOf } from './validate-options.ts'

/** Returns the rules of a singular value, or of one entry of a list or map. */
function valueRules(field: DescField): FieldRules | undefined {
  const rules = validateRulesOf(field)
  const { type } = rules ?? {}
  if (field.fieldKind === 'list') return type?.case === 'repeated' ? type.value.items : undefined
  if (field.fieldKind === 'map') return type?.case === 'map' ? type.value.values : undefined
  return rules
}

/** Texts with the formats that JSON Schema does not have, by the name of the rule. */
const FORMATS: Record<string, string | undefined> = {
  ip: '192.0.2.7',
  address: 'example.com',
  hostAndPort: 'example.com:8080',
  tuuid: '018f3b8e6d0a7cc29a570c1d2e3f4a5b',
  ulid: '01HNXW3RGA8Z5T7Q9K2M4P6S8V',
  ipWithPrefixlen: '192.0.2.7/24',
  ipv4WithPrefixlen: '192.0.2.7/24',
  ipv6WithPrefixlen: '2001:db8::7/64',
  ipPrefix: '192.0.2.0/24',
  ipv4Prefix: '192.0.2.0/24',
  ipv6Prefix: '2001:db8::/64',
  protobufFqn: 'google.protobuf.Duration',
  protobufDotFqn: '.google.protobuf.Duration',
}

/** Returns the values of the rule `example`, and those that a rule demands, as ProtoJSON. */
export function examplesInRules(field: DescField): (string | number | boolean)[] {
  const { type } = valueRules(field) ?? {}
  if (type?.case === undefined || type.value === undefined) return []
  const { value } = type
  const given: unknown[] = 'example' in value ? [...value.example] : []
  const listed: unknown[] = 'in' in value && Array.isArray(value.in) ? [...value.in] : []
  const format =
    type.case === 'string' && type.value.wellKnown.value === true ? FORMATS[type.value.wellKnown.case] : undefined
  return [...given, ...listed, format].flatMap(entry => toJson(field, entry) ?? [])
}

function toJson(field: DescField, value: unknown): string | number | boolean | undefined {
  if (field.enum !== undefined) return field.enum.values.find(({ number }) => number === value)?.name
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (typeof value === 'bigint') return String(value)
  // Messages, such as a Duration, have no plain value.
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined
}
