/** The field rules of the contract as JSON Schema keywords, for the OpenAPI document. */
import type { DescField } from '@bufbuild/protobuf'
import { FeatureSet_FieldPresence as FieldPresence } from '@bufbuild/protobuf/wkt'
import type { Rules } from '#runtime/grpc/contract.ts'
import { FORMATS, minItemsOf } from '#runtime/grpc/rules.ts'
import { type JsonSchema, kindOf } from './json-schema.ts'
import { portablePattern } from './portable-pattern.ts'

/** What a field without presence makes of its default value (`""`, 0): accepts it as unset, or rejects it. */
type DefaultValue = 'is unset' | 'is rejected' | 'is a value'

/** Returns the keywords of a singular field, or of each entry of a list or map. */
export function ruleKeywords(field: DescField, rules: Rules): JsonSchema {
  const isEntry = field.fieldKind === 'list' || field.fieldKind === 'map'
  const hasDefault = !isEntry && field.presence === FieldPresence.IMPLICIT
  const defaultValue = !hasDefault ? 'is a value' : rules.required ? 'is rejected' : 'is unset'
  switch (kindOf(field)) {
    case 'string':
      return textKeywords(rules, defaultValue)
    case 'bytes':
      return defaultValue === 'is rejected' ? { minLength: 1 } : {}
    case 'int32':
    case 'uint32':
      return numberKeywords(rules, defaultValue, true)
    case 'float':
    case 'double':
      return numberKeywords(rules, defaultValue, false)
    case 'int64':
    case 'uint64':
      // In JSON they are strings, to which `minimum` and `maximum` do not apply.
      return defaultValue === 'is rejected' ? { not: { const: '0' } } : {}
    case 'boolean':
      return defaultValue === 'is rejected' ? { enum: [true] } : {}
    case 'enum':
      return defaultValue === 'is rejected' ? { enum: namesExceptDefault(field) } : {}
    default:
      return {}
  }
}

/** Returns the keywords of a whole list or map. */
export function sizeKeywords(field: DescField, rules: Rules): JsonSchema {
  const [minimum, maximum] = field.fieldKind === 'map' ? ['minProperties', 'maxProperties'] : ['minItems', 'maxItems']
  const minItems = minItemsOf(rules)
  return {
    ...(minItems > 0 && { [minimum]: minItems }),
    ...(rules.maxItems !== undefined && { [maximum]: rules.maxItems }),
  }
}

function textKeywords(rules: Rules, defaultValue: DefaultValue): JsonSchema {
  const isUnset = defaultValue === 'is unset'
  const minLength = Math.max(rules.minLength ?? 0, defaultValue === 'is rejected' ? 1 : 0)
  const portable = rules.pattern === '' ? undefined : portablePattern(rules.pattern)
  const optional = isUnset && !new RegExp(`^(?:${rules.pattern})$`, 'v').test('') ? '?' : ''
  const format = FORMATS[rules.format]
  return {
    ...(isUnset ? textGap(minLength) : minLength > 0 && { minLength }),
    ...(rules.maxLength !== undefined && { maxLength: rules.maxLength }),
    ...(portable !== undefined && { pattern: `^(?:${portable})${optional}$` }),
    ...(format && { format: format.jsonSchema }),
    ...(rules.in.length > 0 && { enum: allowedTexts(rules, defaultValue) }),
  }
}

function allowedTexts({ in: allowed }: Rules, defaultValue: DefaultValue): readonly string[] {
  if (defaultValue === 'is rejected') return allowed.filter(text => text !== '')
  return defaultValue === 'is unset' ? [...new Set([...allowed, ''])] : allowed
}

/** Excludes the lengths between that of an unset text and the minimum. `type`, because null has no length. */
function textGap(minimum: number): JsonSchema {
  return minimum > 1 ? { not: { type: 'string', minLength: 1, maxLength: minimum - 1 } } : {}
}

/** The bounds include 0 if that is accepted as unset. `not` then excludes what is between 0 and the bound. */
function numberKeywords({ min, max }: Rules, defaultValue: DefaultValue, isInteger: boolean): JsonSchema {
  if (defaultValue === 'is unset') {
    const gap =
      min !== undefined && min > (isInteger ? 1 : 0)
        ? { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: min }
        : max !== undefined && max < (isInteger ? -1 : 0)
          ? { type: 'number', exclusiveMinimum: max, exclusiveMaximum: 0 }
          : undefined
    return {
      ...(min !== undefined && { minimum: Math.min(min, 0) }),
      ...(max !== undefined && { maximum: Math.max(max, 0) }),
      ...(gap && { not: gap }),
    }
  }
  const isZeroRejected = defaultValue === 'is rejected'
  if (isZeroRejected && isInteger && min === 0) return { minimum: 1, ...(max !== undefined && { maximum: max }) }
  const includesZero = (min === undefined || min <= 0) && (max === undefined || max >= 0)
  return {
    ...(min !== undefined && { minimum: min }),
    ...(max !== undefined && { maximum: max }),
    ...(isZeroRejected && includesZero && { not: { const: 0 } }),
  }
}

function namesExceptDefault(field: DescField): string[] {
  return field.enum?.values.filter(({ number }) => number !== 0).map(({ name }) => name) ?? []
}
