/**
 * Tells which values of a JSON object its message cannot have, although their form is right: a number out of range, an
 * Any of a type that is not known. @bufbuild/protobuf says what is wrong with the first of them and not where it stands,
 * so each value is read once more, by itself.
 */
import {
  type DescField,
  type DescMessage,
  type FileRegistry,
  fromJson,
  type JsonObject,
  type JsonValue,
} from '@bufbuild/protobuf'
import type { Violation } from '#runtime/status.ts'
import { kindOf, messageKind } from '../../contract/json-schema.ts'

// An answer need not be as long as a hostile request.
const MAX_VIOLATIONS = 100

/**
 * @param json of the right structure, which is not the message.
 * @param reason what the library said of all of it.
 * @returns at least one, a hundred at most, with the whole path of each field.
 */
export function findValueViolations(
  schema: DescMessage,
  json: JsonValue,
  registry: FileRegistry,
  reason: unknown,
): Violation[] {
  const violations: Violation[] = []
  const complaintOf = (message: DescMessage, value: JsonValue): string | undefined => {
    try {
      fromJson(message, value, { registry })
    } catch (error) {
      return describe(error)
    }
  }
  if (messageKind(schema) === 'message') inMessage(schema, json as JsonObject, '')
  // Whatever the library says of a client's JSON, it is not a fault of ours.
  return violations.length === 0 ? [{ field: 'body', description: describe(reason) }] : violations

  function inMessage(message: DescMessage, object: JsonObject, path: string): void {
    for (const field of message.fields) {
      if (violations.length === MAX_VIOLATIONS) return
      const value = own(object, field.jsonName) ?? own(object, field.name)
      if (value !== undefined && value !== null)
        inField(field, value, path === '' ? field.jsonName : `${path}.${field.jsonName}`)
    }
  }

  function inField(field: DescField, value: JsonValue, path: string): void {
    const ofMessages = kindOf(field) === 'message'
    const isMany = field.fieldKind === 'list' || field.fieldKind === 'map'
    // What is within messages is looked at for itself.
    const shallow = !ofMessages ? value : isMany ? emptied(value) : {}
    const complaint = complaintOf(field.parent, { [field.jsonName]: shallow })
    if (complaint !== undefined && !(isMany && inEntries(field, shallow, path)))
      violations.push({ field: path, description: complaint })
    if (!ofMessages) return
    const entries = isMany ? entriesOf(value) : [[undefined, value] as const]
    for (const [key, entry] of entries) {
      if (violations.length === MAX_VIOLATIONS) return
      inMessage(field.message as DescMessage, entry as JsonObject, key === undefined ? path : `${path}[${key}]`)
    }
  }

  /** @returns whether some entry is at fault, and not their being together. */
  function inEntries(field: DescField, value: JsonValue, path: string): boolean {
    const before = violations.length
    search(entriesOf(value))
    return violations.length > before

    /** By halves: a list may be as long as a body, and most of it right. */
    function search(entries: [string, JsonValue][]): void {
      if (violations.length === MAX_VIOLATIONS || entries.length === 0) return
      const some = Array.isArray(value) ? entries.map(([, entry]) => entry) : Object.fromEntries(entries)
      const complaint = complaintOf(field.parent, { [field.jsonName]: some })
      const [first] = entries
      if (complaint === undefined || first === undefined) return
      if (entries.length === 1) violations.push({ field: `${path}[${first[0]}]`, description: complaint })
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

function emptied(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(() => ({}))
  return Object.fromEntries(entriesOf(value).map(([key]) => [key, {}]))
}

/** An object inherits properties that a field may be named like. */
function own(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** The library's words without its preamble, which names the type or the field. */
function describe(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return (
    /^cannot decode \S+ \S+ from JSON:? (?:list item #\d+: |map entry ".*?": )?(.+)$/s.exec(message)?.[1] ??
    'is not valid'
  )
}
