/** Refuses the numbers of a body that JSON.parse has changed, where the change would reach the message unseen. */
import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { invalidArgument, MAX_VIOLATIONS, type Violation } from '#runtime/status.ts'
import { kindOf, messageKind } from '../../contract/json-schema.ts'
import { fieldsByName } from './json-fields.ts'
import type { LossyNumbers } from './lossy-numbers.ts'

/**
 * A number that is out of a double's reach is infinite now, wherever it stands. One that was rounded does harm in a field
 * of 64 bits only: a shorter one does not take it, and a double rounds by its nature. What is in an Any is not known here.
 * @throws StatusError INVALID_ARGUMENT with the path of each.
 */
export function assertExactNumbers(schema: DescMessage, json: JsonValue, changed: LossyNumbers): void {
  const violations: Violation[] = []
  inValue(json, '', messageKind(schema), schema)
  if (violations.length > 0) throw invalidArgument(violations)

  /** @param kind undefined for what no field is known of. */
  function inValue(value: JsonValue, path: string, kind: string | undefined, message: DescMessage | undefined): void {
    if (typeof value !== 'object' || value === null) return
    const names = kind === 'message' && message !== undefined ? fieldsByName(message) : undefined
    for (const [name, child] of Object.entries(value)) {
      const field = names?.get(name)
      if (field !== undefined) inField(field, value, name, joined(path, field.jsonName))
      else inEntry(value, name, child, Array.isArray(value) ? `${path}[${name}]` : joined(path, name), kind, undefined)
    }
  }

  function inField(field: DescField, holder: object, name: string, path: string): void {
    const value = (holder as JsonObject)[name] as JsonValue
    const isMany = field.fieldKind === 'list' || field.fieldKind === 'map'
    if (!isMany || typeof value !== 'object' || value === null) {
      inEntry(holder, name, value, path, kindOf(field), field.message)
    } else {
      for (const [key, entry] of Object.entries(value)) {
        inEntry(value, key, entry, `${path}[${key}]`, kindOf(field), field.message)
      }
    }
  }

  function inEntry(
    holder: object,
    name: string,
    value: JsonValue,
    path: string,
    kind: string | undefined,
    message: DescMessage | undefined,
  ): void {
    if (violations.length === MAX_VIOLATIONS) return
    const matters = EXACT.has(kind) || value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY
    if (typeof value !== 'number') inValue(value, path, kind, message)
    else if (matters && changed.get(holder)?.has(name)) {
      violations.push({ field: path, description: 'is a number that JSON cannot hold exactly; send it as a string' })
    }
  }
}

const EXACT: ReadonlySet<string | undefined> = new Set(['int64', 'uint64', 'any'])

function joined(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
