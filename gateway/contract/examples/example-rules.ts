/** Checks examples against `buf.validate`, whose rules JSON Schema states in part only. */
import { type DescField, type DescMessage, fromJson, type JsonValue } from '@bufbuild/protobuf'
import { hasValidateRules, validateRulesOf } from '../validation/validate-options.ts'
import { typesOf, validatorOf } from '../validation/validator.ts'

/**
 * Returns a predicate on values of a field, or on entries of a list or map; undefined if the field has no rules.
 * @returns undefined if every value is valid.
 */
export function validateCheck(field: DescField): ((value: JsonValue) => boolean) | undefined {
  const { parent } = field
  if (parent === undefined || validateRulesOf(field) === undefined) return undefined
  const isEntry = field.fieldKind === 'list' || field.fieldKind === 'map'
  return value => {
    const json = field.fieldKind === 'list' ? [value] : field.fieldKind === 'map' ? mapOf(field, value) : value
    const violations = violationsOf(parent, { [field.jsonName]: json })
    // Rules of a whole list or map concern the number of its entries.
    return violations?.every(path => path[0] !== field || (isEntry && path.length === 1)) ?? false
  }
}

function mapOf({ mapKey }: DescField & { fieldKind: 'map' }, value: JsonValue): JsonValue {
  // ScalarType.STRING and BOOL; every other key is an integer.
  return { [mapKey === 9 ? 'key' : mapKey === 8 ? 'true' : '1']: value }
}

/**
 * Returns an example that satisfies the rules of its message, such as CEL on several fields: without the fields that
 * violate them.
 * @param isNeeded whether the example must have the field. @param isHere whether the field is part of the example.
 * @returns undefined if there is none.
 */
export function validExample(
  message: DescMessage,
  example: JsonValue,
  isNeeded: (field: DescField) => boolean,
  isHere: (field: DescField) => boolean,
): JsonValue | undefined {
  if (!hasValidateRules(message) || typeof example !== 'object' || example === null || Array.isArray(example)) {
    return example
  }
  const violations = violationsOf(message, example)
  if (violations === undefined) return undefined
  const wrong = violations.map(([field]) => field)
  if (wrong.every(field => field !== undefined && !isHere(field))) return example
  const dropped = wrong.filter(field => field !== undefined && isHere(field)) as DescField[]
  if (wrong.includes(undefined) || dropped.some(isNeeded)) return undefined
  const names = new Set(dropped.map(({ jsonName }) => jsonName))
  const rest = Object.fromEntries(Object.entries(example).filter(([name]) => !names.has(name)))
  // Each step removes a field, so this ends.
  return names.size === 0 || Object.keys(rest).length === Object.keys(example).length
    ? undefined
    : validExample(message, rest, isNeeded, isHere)
}

/** Returns the path of each violation: the fields of it. Undefined: the rules cannot be evaluated on the value. */
function violationsOf(message: DescMessage, json: JsonValue): (DescField | undefined)[][] | undefined {
  try {
    const types = typesOf(message.file)
    const result = validatorOf(types).validate(message, fromJson(message, json))
    if (result.kind === 'error') return undefined
    return (result.violations ?? []).map(({ field }) => field.map(part => (part.kind === 'field' ? part : undefined)))
  } catch {
    return undefined
  }
}
