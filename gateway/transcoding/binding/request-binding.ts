/**
 * Brings path, query and body together into the ProtoJSON of one request message (google/api/http.proto, "Rules for HTTP
 * mapping"). The path always wins by being the only one: a field given twice is refused with its name, and so is a name
 * that the message does not have.
 */
import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { invalidArgument, type Violation } from '#runtime/status.ts'
import type { Route } from '../../contract/route-table.ts'
import { assertExactNumbers } from './exact-numbers.ts'
import { fieldsByName } from './json-fields.ts'
import { MAX_JSON_DEPTH, parseJson } from './json-text.ts'
import type { LossyNumbers } from './lossy-numbers.ts'
import { isTextMessage, scalarFromText } from './text-values.ts'
import { compileUpdateMask } from './update-mask.ts'

export interface BindingInput {
  readonly pathValues: readonly string[]
  readonly query: string
  readonly body: Uint8Array | undefined
}

/** @returns a function that makes the request's JSON, or throws StatusError INVALID_ARGUMENT. */
export function compileBinding(route: Route): (input: BindingInput) => JsonValue {
  const input = route.descriptor.input
  const variables = route.template.variables.map(variable => resolve(input, variable.fieldPath))
  const bodyField = route.body.kind === 'field' ? route.body.field : undefined
  const fromPath = new Set(variables.map(pathOf))
  const addMask = compileUpdateMask(route)

  return ({ pathValues, query, body }) => {
    const violations: Violation[] = []
    const tree = bodyJson(route, body)
    // A body that is no object cannot be completed; the structure check says so.
    if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) return tree

    for (const [index, fields] of variables.entries()) {
      if (has(tree, fields)) violations.push({ field: pathOf(fields), description: 'is given by the path already' })
      else place(tree, fields, scalarFromText(last(fields), pathValues[index] ?? ''))
    }
    if (query !== '') {
      for (const [name, text] of parseQuery(query, violations)) {
        const fields = tryResolve(input, name.split('.'))
        const complaint =
          fields === undefined
            ? 'is not known'
            : route.body.kind === 'message'
              ? 'belongs in the body'
              : fromPath.has(pathOf(fields))
                ? 'is given by the path already'
                : fields[0] === bodyField
                  ? 'belongs in the body'
                  : placeParameter(tree, fields, text)
        if (complaint !== undefined) violations.push({ field: fields ? pathOf(fields) : name, description: complaint })
      }
    }
    if (violations.length > 0) throw invalidArgument(violations)
    addMask?.(tree)
    return tree
  }
}

function bodyJson({ body: binding, descriptor }: Route, body: Uint8Array | undefined): JsonValue {
  if (body === undefined || body.length === 0) return {}
  const changed: LossyNumbers = new Map()
  const json = parseJson(body, changed)
  if (binding.kind !== 'none') {
    const tree = binding.kind === 'message' ? json : { [binding.field.jsonName]: json }
    // A lone number stands nowhere yet.
    if (binding.kind === 'field' && typeof json === 'number' && changed.size > 0) {
      changed.set(tree as JsonObject, new Set([binding.field.jsonName]))
    }
    if (changed.size > 0) assertExactNumbers(descriptor.input, tree, changed)
    return tree
  }
  const isEmpty = typeof json === 'object' && json !== null && Object.keys(json).length === 0
  if (!isEmpty) throw invalidArgument([{ field: 'body', description: 'must be empty: this method takes none' }])
  return {}
}

/** application/x-www-form-urlencoded, but an escape that is not UTF-8 is refused instead of replaced. */
function* parseQuery(query: string, violations: Violation[]): Iterable<[name: string, value: string]> {
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const [name, value] = equals === -1 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
    try {
      yield [decodeForm(name), decodeForm(value)]
    } catch {
      violations.push({ field: 'query', description: `"${pair}" is not percent-encoded UTF-8` })
    }
  }
}

function decodeForm(text: string): string {
  // Most text has nothing to decode, and to find that out takes a tenth of the time.
  return /[%+]/.test(text) ? decodeURIComponent(text.replaceAll('+', ' ')) : text
}

/** @returns what is wrong, if anything. */
function placeParameter(tree: JsonObject, fields: readonly DescField[], text: string): string | undefined {
  const field = last(fields)
  if (fields.slice(0, -1).some(parent => parent.fieldKind !== 'message' || isTextMessage(parent.message))) {
    return 'cannot be given in the query'
  }
  if (field.fieldKind === 'map' || (field.message !== undefined && !isTextMessage(field.message))) {
    return 'cannot be given in the query'
  }
  const value = scalarFromText(field, text)
  if (field.fieldKind === 'list') {
    const parent = parentOf(tree, fields)
    const entries = parent[field.jsonName]
    if (Array.isArray(entries)) entries.push(value)
    else parent[field.jsonName] = [value]
    return undefined
  }
  if (has(tree, fields)) return 'is given twice'
  place(tree, fields, value)
  return undefined
}

function resolve(message: DescMessage, names: readonly string[]): readonly DescField[] {
  const fields = tryResolve(message, names)
  if (fields === undefined) throw new Error(`${message.typeName} has no field ${names.join('.')}`)
  return fields
}

function tryResolve(message: DescMessage, names: readonly string[]): readonly DescField[] | undefined {
  // Messages may contain their own kind, and what puts them together recurses.
  if (names.length > MAX_JSON_DEPTH) return undefined
  const fields: DescField[] = []
  let current: DescMessage | undefined = message
  for (const name of names) {
    const field: DescField | undefined = current && fieldsByName(current).get(name)
    if (field === undefined) return undefined
    fields.push(field)
    current = field.message
  }
  return fields
}

function pathOf(fields: readonly DescField[]): string {
  return fields.map(field => field.jsonName).join('.')
}

function last(fields: readonly DescField[]): DescField {
  return fields[fields.length - 1] as DescField
}

/** Whether the tree gives the field, under either of its names. */
function has(tree: JsonObject, fields: readonly DescField[]): boolean {
  let current: JsonValue | undefined = tree
  for (const field of fields) {
    if (typeof current !== 'object' || current === null || Array.isArray(current)) return false
    current = own(current, field.jsonName) ?? own(current, field.name)
  }
  return current !== undefined && current !== null
}

/** An object inherits properties that a field may be named like. */
function own(tree: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(tree, name) ? tree[name] : undefined
}

function place(tree: JsonObject, fields: readonly DescField[], value: JsonValue): void {
  parentOf(tree, fields)[last(fields).jsonName] = value
}

function parentOf(tree: JsonObject, fields: readonly DescField[]): JsonObject {
  let current = tree
  for (const field of fields.slice(0, -1)) {
    const name = Object.hasOwn(current, field.name) ? field.name : field.jsonName
    const child = own(current, name)
    if (child === undefined || child === null) {
      const next: JsonObject = {}
      current[name] = next
      current = next
    } else {
      // What is no object stays in the tree, for the structure check to name.
      current = typeof child === 'object' && !Array.isArray(child) ? child : {}
    }
  }
  return current
}
