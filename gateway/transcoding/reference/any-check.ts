/**
 * Checks the contents of each Any in the JSON of a message. The JSON Schema of a message cannot: the type of an Any is
 * known with its value only. @bufbuild/protobuf alone would accept `"0x10"` for a number.
 */
import type { DescMessage, FileRegistry, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { MAX_VIOLATIONS, type Violation } from '#runtime/status.ts'
import { messageKind } from '../../contract/json-schema.ts'
import { type AnyContent, joinPath, visitEntries } from '../binding/json-visitor.ts'
import { hasEmptyValue } from './other-forms.ts'
import { compileStructureCheck, type StructureCheck } from './structure-check.ts'

/**
 * Compiles the check of a message type. It returns one violation per field that does not fit, at most `MAX_VIOLATIONS`.
 * @returns undefined if the message cannot contain an Any.
 */
export function compileAnyCheck(
  message: DescMessage,
  registry: FileRegistry,
): ((json: JsonValue) => Violation[]) | undefined {
  if (!reachesAny(message)) return undefined
  return json => {
    const violations: Violation[] = []
    const checkAny = (any: JsonObject, content: AnyContent, path: string) => {
      for (const { field, description } of checkContent(any, content)) {
        if (violations.length < MAX_VIOLATIONS) violations.push({ field: joinPath(path, field), description })
      }
    }
    visitEntries(message, { '': json }, registry, () => {}, checkAny)
    return violations
  }
}

function reachesAny(message: DescMessage, seen = new Set<DescMessage>()): boolean {
  const kind = messageKind(message)
  if (kind !== 'message' || seen.has(message)) return kind === 'any'
  seen.add(message)
  return message.fields.some(field => field.message !== undefined && reachesAny(field.message, seen))
}

function checkContent(any: JsonObject, content: AnyContent): Violation[] {
  const check = checkOf(content.schema)
  const names = Object.keys(any).filter(name => name !== '@type')
  if (content.valueKind === undefined) {
    // @bufbuild/protobuf checks extensions.
    const fields = names.filter(name => !name.startsWith('[') && !(name === 'value' && hasEmptyValue(any, content)))
    return check(Object.fromEntries(fields.map(name => [name, any[name]])))
  }
  if (!Object.hasOwn(any, 'value')) return []
  const others = names.filter(name => name !== 'value').map(field => ({ field, description: 'is not known' }))
  // Null is the zero value of a wrapper type. @bufbuild/protobuf rejects it for the types that have no null.
  const violations = any['value'] === null ? [] : check(any['value'])
  const inValue = violations.map(({ field, description }) => ({
    field: field === 'body' ? 'value' : `value.${field}`,
    description,
  }))
  return [...others, ...inValue]
}

const checks = new WeakMap<DescMessage, StructureCheck>()

function checkOf(schema: DescMessage): StructureCheck {
  const check = checks.get(schema) ?? compileStructureCheck(schema)
  checks.set(schema, check)
  return check
}
