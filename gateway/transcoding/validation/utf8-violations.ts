/**
 * Finds octets that are not UTF-8 in fields with the rule `bytes.pattern`, which applies to text. For
 * @bufbuild/protovalidate they are an error of the rule; for the client they are an invalid value.
 */
import { isUtf8 } from 'node:buffer'
import { type DescMessage, type Message, ScalarType } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import type { Violation } from '#runtime/status.ts'
import { isSet } from '../../contract/validation/standard-rules.ts'
import { type FieldRules, validateRulesOf } from '../../contract/validation/validate-options.ts'
import { nestedMessages } from './nested-messages.ts'

/** Returns a violation for each such value. */
export function utf8Violations(schema: DescMessage, message: Message): Violation[] {
  return [...visit(reflect(schema, message), '')]
}

function* visit(parent: ReflectMessage, path: string): Iterable<Violation> {
  for (const field of parent.fields) {
    if (!parent.isSet(field)) continue
    const fieldPath = path === '' ? field.jsonName : `${path}.${field.jsonName}`
    for (const [nested, suffix] of nestedMessages(parent, field)) yield* visit(nested, fieldPath + suffix)
    if (field.scalar !== ScalarType.BYTES || !hasPattern(validateRulesOf(field))) continue
    for (const [key, value] of entriesOf(parent.get(field))) {
      if (!isUtf8(value)) yield { field: fieldPath + key, description: 'must be UTF-8' }
    }
  }
}

function hasPattern(rules: FieldRules | undefined): boolean {
  const { type } = rules ?? {}
  if (type?.case === 'repeated') return hasPattern(type.value.items)
  if (type?.case === 'map') return hasPattern(type.value.values)
  return type?.case === 'bytes' && isSet(type.value, 'pattern')
}

function* entriesOf(value: unknown): Iterable<[string, Uint8Array]> {
  if (value instanceof Uint8Array) yield ['', value]
  else {
    for (const [key, entry] of (value as Map<unknown, Uint8Array>).entries()) yield [`[${key}]`, entry]
  }
}
