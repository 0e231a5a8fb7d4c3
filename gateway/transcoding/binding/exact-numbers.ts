/** Rejects numbers of a body that JSON.parse changed, where the change would otherwise reach the message unnoticed. */
import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { invalidArgument, MAX_VIOLATIONS, type Violation } from '#runtime/status.ts'
import { kindOf, messageKind } from '../../contract/json-schema.ts'
import { fieldsByName } from './json-fields.ts'
import type { LossyNumbers } from './lossy-numbers.ts'

/**
 * Checks the changed numbers against the types of their fields. An infinite value is rejected everywhere. A rounded one
 * is rejected in 64-bit integer fields and inside an Any, whose type is not known yet. Other fields either reject it
 * later (32-bit integers) or round by definition (floats).
 * @throws StatusError INVALID_ARGUMENT with the path of each number, at most `MAX_VIOLATIONS`.
 */
export function assertExactNumbers(schema: DescMessage, json: JsonValue, lossy: LossyNumbers): void {
  const violations: Violation[] = []
  checkValue(json, '', messageKind(schema), schema)
  if (violations.length > 0) throw invalidArgument(violations)

  /** @param kind undefined if the value belongs to no known field. */
  function checkValue(
    value: JsonValue,
    path: string,
    kind: string | undefined,
    message: DescMessage | undefined,
  ): void {
    if (typeof value !== 'object' || value === null) return
    const names = kind === 'message' && message !== undefined ? fieldsByName(message) : undefined
    for (const [name, child] of Object.entries(value)) {
      const field = names?.get(name)
      if (field !== undefined) checkField(field, value, name, joinPath(path, field.jsonName))
      else {
        const childPath = Array.isArray(value) ? `${path}[${name}]` : joinPath(path, name)
        checkEntry(value, name, child, childPath, kind, undefined)
      }
    }
  }

  function checkField(field: DescField, holder: object, name: string, path: string): void {
    const value = (holder as JsonObject)[name] as JsonValue
    const isRepeated = field.fieldKind === 'list' || field.fieldKind === 'map'
    if (!isRepeated || typeof value !== 'object' || value === null) {
      checkEntry(holder, name, value, path, kindOf(field), field.message)
    } else {
      for (const [key, entry] of Object.entries(value)) {
        checkEntry(value, key, entry, `${path}[${key}]`, kindOf(field), field.message)
      }
    }
  }

  function checkEntry(
    holder: object,
    name: string,
    value: JsonValue,
    path: string,
    kind: string | undefined,
    message: DescMessage | undefined,
  ): void {
    if (violations.length === MAX_VIOLATIONS) return
    const mustBeExact = EXACT.has(kind) || value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY
    if (typeof value !== 'number') checkValue(value, path, kind, message)
    else if (mustBeExact && lossy.get(holder)?.has(name)) {
      violations.push({ field: path, description: 'is a number that JSON cannot hold exactly; send it as a string' })
    }
  }
}

const EXACT: ReadonlySet<string | undefined> = new Set(['int64', 'uint64', 'any'])

function joinPath(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
