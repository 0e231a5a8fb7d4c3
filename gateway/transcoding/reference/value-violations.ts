/**
 * Finds the values of a JSON object that have the right structure but that the message cannot hold: numbers out of
 * range, an Any of an unknown type. @bufbuild/protobuf reports only the first such value and not its path, so this
 * module parses each value again, separately.
 */
import {
  type DescField,
  type DescMessage,
  type FileRegistry,
  fromJson,
  type JsonObject,
  type JsonValue,
} from '@bufbuild/protobuf'
import { MAX_VIOLATIONS, type Violation } from '#runtime/status.ts'
import { kindOf, messageKind } from '../../contract/json-schema.ts'
import { fieldValue } from '../binding/json-fields.ts'

/**
 * Finds the values that a message cannot hold.
 * @param json passes the structure check, but @bufbuild/protobuf failed to parse it.
 * @param reason the error of @bufbuild/protobuf for the whole message.
 * @returns at least one violation, at most `MAX_VIOLATIONS`, each with the full path of its field.
 */
export function findValueViolations(
  schema: DescMessage,
  json: JsonValue,
  registry: FileRegistry,
  reason: unknown,
): Violation[] {
  const violations: Violation[] = []
  const errorOf = (message: DescMessage, value: JsonValue): string | undefined => {
    try {
      fromJson(message, value, { registry })
    } catch (error) {
      return describe(error)
    }
  }
  if (messageKind(schema) === 'message') checkMessage(schema, json as JsonObject, '')
  // An error that belongs to no single field is still an error of the client, not of the gateway.
  return violations.length === 0 ? [{ field: 'body', description: describe(reason) }] : violations

  function checkMessage(message: DescMessage, object: JsonObject, path: string): void {
    for (const field of message.fields) {
      if (violations.length === MAX_VIOLATIONS) return
      const value = fieldValue(object, field)
      if (value !== undefined && value !== null)
        checkField(field, value, path === '' ? field.jsonName : `${path}.${field.jsonName}`)
    }
  }

  function checkField(field: DescField, value: JsonValue, path: string): void {
    const isMessage = kindOf(field) === 'message'
    const isRepeated = field.fieldKind === 'list' || field.fieldKind === 'map'
    // Nested messages are emptied here, because their fields are checked separately below.
    const shallow = !isMessage ? value : isRepeated ? emptyEntries(value) : {}
    const description = errorOf(field.parent, { [field.jsonName]: shallow })
    if (description !== undefined && !(isRepeated && checkEntries(field, shallow, path)))
      violations.push({ field: path, description })
    if (!isMessage) return
    const entries = isRepeated ? entriesOf(value) : [[undefined, value] as const]
    for (const [key, entry] of entries) {
      if (violations.length === MAX_VIOLATIONS) return
      checkMessage(field.message as DescMessage, entry as JsonObject, key === undefined ? path : `${path}[${key}]`)
    }
  }

  /** @returns whether a single entry is invalid; false if only the combination is, such as a duplicate key. */
  function checkEntries(field: DescField, value: JsonValue, path: string): boolean {
    const before = violations.length
    search(entriesOf(value))
    return violations.length > before

    /** Bisects the entries: a list may fill the body, and most of its entries are valid. */
    function search(entries: [string, JsonValue][]): void {
      if (violations.length === MAX_VIOLATIONS || entries.length === 0) return
      const part = Array.isArray(value) ? entries.map(([, entry]) => entry) : Object.fromEntries(entries)
      const description = errorOf(field.parent, { [field.jsonName]: part })
      const [first] = entries
      if (description === undefined || first === undefined) return
      if (entries.length === 1) violations.push({ field: `${path}[${first[0]}]`, description })
      else {
        const half = entries.length >> 1
        search(entries.slice(0, half))
        search(entries.slice(half))
      }
    }
  }
}

function entriesOf(value: JsonValue): [string, JsonValue][] {
  return Object.entries(value as JsonObject)
}

function emptyEntries(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(() => ({}))
  return Object.fromEntries(entriesOf(value).map(([key]) => [key, {}]))
}

const DURATION_RANGE = 'must be from -315576000000s to 315576000000s inclusive'

/** Returns the message of @bufbuild/protobuf without its prefix, which repeats the type or the field. */
function describe(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  // This error has the value only. The structure check has found its text valid.
  if (message.startsWith('cannot decode message google.protobuf.Duration from JSON: "')) return DURATION_RANGE
  return (
    /^cannot decode \S+ \S+ from JSON:? (?:list item #\d+: |map entry ".*?": )?(.+)$/s.exec(message)?.[1] ??
    'is not valid'
  )
}
