/**
 * Combines path, query and body of a request into the ProtoJSON of its request message (google/api/http.proto, "Rules
 * for HTTP mapping"). An unknown field and a field that is given in two places are rejected by name.
 */
import type { DescField, FileRegistry, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { invalidArgument, type Violation } from '#runtime/status.ts'
import { takesRawBody } from '../../contract/http-body.ts'
import { kindOf } from '../../contract/json-schema.ts'
import type { Route } from '../../contract/route-table.ts'
import { outputOnlyFields } from '../../contract/validation/field-behavior.ts'
import { ALT, checkAlt } from './alt-parameter.ts'
import { restoreExactNumbers } from './exact-numbers.ts'
import { fieldsAt, resolveParameter } from './field-paths.ts'
import { fieldValue, isObject, ownProperty, setProperty } from './json-fields.ts'
import { parseJson } from './json-text.ts'
import { type LossyNumbers, ROOT } from './lossy-numbers.ts'
import { parseQuery } from './query.ts'
import { rawBodyJson } from './raw-body.ts'
import { compileMasks } from './request-masks.ts'
import { isTextMessage, scalarFromText } from './text-values.ts'

/** As in `RequestInput`. */
export interface BindingInput {
  readonly pathValues: readonly string[]
  readonly query: string
  readonly body: Uint8Array | undefined
  readonly contentType?: string | undefined
}

/**
 * @param registry the message types that an Any may contain.
 * @returns a function that returns the ProtoJSON of the request message, not yet checked against its types. It throws
 * StatusError INVALID_ARGUMENT with a violation per field that is unknown, given twice or in the wrong place. The data of
 * a raw body is bytes instead of base64 (`rawBodyJson`).
 */
export function compileBinding(route: Route, registry: FileRegistry): (input: BindingInput) => JsonValue {
  const input = route.descriptor.input
  const variables = route.template.variables.map(variable => fieldsAt(input, variable.fieldPath))
  const bodyField = route.body.kind === 'field' ? route.body.field : undefined
  const pathVariables = new Set(variables.map(pathOf))
  const replaceMasks = compileMasks(route)
  const isRaw = takesRawBody(route)
  const outputOnly = outputOnlyFields(input)

  return ({ pathValues, query, body, contentType }) => {
    const violations: Violation[] = []
    const request = isRaw ? rawBodyJson(bodyField, body, contentType) : bodyJson(route, body, registry)
    // Fields cannot be added to a body that is not an object. The structure check reports such a body.
    if (!isObject(request)) return request

    for (const [index, fields] of variables.entries()) {
      if (isSet(request, fields)) violations.push({ field: pathOf(fields), description: IN_PATH })
      else setField(request, fields, scalarFromText(last(fields), pathValues[index] ?? ''))
    }
    if (query !== '') {
      for (const [name, text] of parseQuery(query, violations)) {
        const fields = resolveParameter(input, name)
        const description =
          fields === undefined
            ? name === ALT
              ? checkAlt(text)
              : 'is not known'
            : route.body.kind === 'message'
              ? 'belongs in the body'
              : pathVariables.has(pathOf(fields))
                ? IN_PATH
                : fields[0] === bodyField
                  ? 'belongs in the body'
                  : outputOnly.size > 0 && fields.some(field => outputOnly.has(field))
                    ? OUTPUT_ONLY
                    : setParameter(request, fields, text)
        if (description !== undefined) violations.push({ field: fields ? pathOf(fields) : name, description })
      }
    }
    if (violations.length > 0) throw invalidArgument(violations)
    replaceMasks?.(request)
    return request
  }
}

const IN_PATH = 'is already given by the path'
// Unlike a body, a query is no copy of a resource that the client has read.
const OUTPUT_ONLY = 'cannot be given: the service sets it'
const NOT_IN_QUERY = 'cannot be given in the query'

function bodyJson(
  { body: binding, descriptor }: Route,
  body: Uint8Array | undefined,
  registry: FileRegistry,
): JsonValue {
  if (body === undefined || body.length === 0) return {}
  const lossy: LossyNumbers = new Map()
  const json = parseJson(body, lossy)
  if (binding.kind !== 'none') {
    const request = binding.kind === 'message' ? json : { [binding.field.jsonName]: json }
    // The parent of a body that is a number is then the request.
    const number = lossy.get(ROOT)
    if (binding.kind === 'field' && number !== undefined) {
      lossy.set(request as JsonObject, new Map([[binding.field.jsonName, number.get('')]]))
    }
    return lossy.size > 0 ? restoreExactNumbers(descriptor.input, request, lossy, registry) : request
  }
  const isEmpty = typeof json === 'object' && json !== null && Object.keys(json).length === 0
  if (!isEmpty)
    throw invalidArgument([{ field: 'body', description: 'must be empty: this method has no request body' }])
  return {}
}

/** Sets the field of a query parameter. @returns the description of a violation; undefined if the field was set. */
function setParameter(request: JsonObject, fields: readonly DescField[], text: string): string | undefined {
  const field = last(fields)
  if (fields.slice(0, -1).some(parent => kindOf(parent) !== 'message' || parent.fieldKind !== 'message')) {
    return NOT_IN_QUERY
  }
  if (field.fieldKind === 'map' || (field.message !== undefined && !isTextMessage(field.message))) return NOT_IN_QUERY
  const value = scalarFromText(field, text)
  if (field.fieldKind === 'list') {
    const parent = parentOf(request, fields)
    const entries = ownProperty(parent, field.jsonName)
    if (Array.isArray(entries)) entries.push(value)
    else setProperty(parent, field.jsonName, [value])
    return undefined
  }
  if (isSet(request, fields)) return 'is given twice'
  setField(request, fields, value)
  return undefined
}

function pathOf(fields: readonly DescField[]): string {
  return fields.map(field => field.jsonName).join('.')
}

function last(fields: readonly DescField[]): DescField {
  return fields[fields.length - 1] as DescField
}

/** Whether the request contains a value for the field; null counts as unset. */
function isSet(request: JsonObject, fields: readonly DescField[]): boolean {
  let current: JsonValue | undefined = request
  for (const field of fields) {
    if (!isObject(current)) return false
    current = fieldValue(current, field)
  }
  return current !== undefined && current !== null
}

function setField(request: JsonObject, fields: readonly DescField[], value: JsonValue): void {
  setProperty(parentOf(request, fields), last(fields).jsonName, value)
}

function parentOf(request: JsonObject, fields: readonly DescField[]): JsonObject {
  let current = request
  for (const field of fields.slice(0, -1)) {
    const name = Object.hasOwn(current, field.name) ? field.name : field.jsonName
    const child = ownProperty(current, name)
    if (child === undefined || child === null) {
      const next: JsonObject = {}
      setProperty(current, name, next)
      current = next
    } else {
      // A value that is not an object stays in the request, so that the structure check reports it.
      current = isObject(child) ? child : {}
    }
  }
  return current
}
