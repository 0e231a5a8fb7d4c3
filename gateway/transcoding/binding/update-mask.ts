/**
 * Adds the update mask to a PATCH request that has none: the fields that its body contains (AIP-134). Without a mask an
 * upstream cannot distinguish a list to be emptied from a list that the client did not send.
 */
import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import type { Route } from '../../contract/route-table.ts'
import { fieldsByName } from './json-fields.ts'

/**
 * @returns a function that adds a missing mask to the JSON of a request. Undefined unless the route is a PATCH whose
 * body is a message field and whose request has an `update_mask` of type FieldMask.
 */
export function compileUpdateMask(route: Route): ((request: JsonObject) => void) | undefined {
  const { httpMethod, body, descriptor } = route
  const mask = descriptor.input.fields.find(
    ({ name, message }) => name === 'update_mask' && message?.typeName === 'google.protobuf.FieldMask',
  )
  if (httpMethod !== 'PATCH' || body.kind !== 'field' || mask === undefined) return undefined
  const { field } = body
  const { message } = field
  if (message === undefined) return undefined
  return request => {
    const hasMask = Object.hasOwn(request, mask.jsonName) || Object.hasOwn(request, mask.name)
    const resource = request[field.jsonName]
    if (hasMask || !isObject(resource)) return
    // ProtoJSON writes a FieldMask as one string of paths in lowerCamelCase.
    request[mask.jsonName] = [...pathsOf(message, resource, '')].join(',')
  }
}

function* pathsOf(message: DescMessage, json: JsonObject, prefix: string): Iterable<string> {
  const names = fieldsByName(message)
  for (const [name, value] of Object.entries(json)) {
    const field = names.get(name)
    // The structure check reports unknown fields.
    if (field === undefined) continue
    const path = prefix + camelCase(field.name)
    const isBranch = isObject(value) && isPlainMessage(field) && Object.keys(value).length > 0
    if (isBranch) yield* pathsOf(field.message as DescMessage, value, `${path}.`)
    else yield path
  }
}

/** Whether the fields of the value are updated one by one. Lists, maps and well-known types are replaced as a whole. */
function isPlainMessage({ fieldKind, message }: DescField): boolean {
  return fieldKind === 'message' && message?.typeName.startsWith('google.protobuf.') === false
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
