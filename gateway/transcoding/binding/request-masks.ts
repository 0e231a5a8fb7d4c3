/**
 * The masks of a request as proto paths, and the mask that a PATCH may omit (AIP-134). Which message the paths of a mask
 * refer to follows from its name and place: `update_mask` to the resource beside it, others to the response.
 */
import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { takesRawBody } from '../../contract/http-body.ts'
import type { Route } from '../../contract/route-table.ts'
import { fieldsWithMasks, isMask, ProtoPaths, protoPathsOf, visitMasks } from './field-masks.ts'
import { fieldsByName, isObject, ownProperty, setProperty } from './json-fields.ts'

/**
 * @returns a function that replaces the masks of a request by their proto paths. A PATCH whose body is the resource may
 * omit its `update_mask`: it then names the fields of the body, because an upstream cannot distinguish a list to be
 * emptied from a list that was not sent. Undefined if the request contains no mask.
 */
export function compileMasks(route: Route): ((request: JsonObject) => void) | undefined {
  const { input, output } = route.descriptor
  if (fieldsWithMasks(input).length === 0) return undefined
  const addDefault = compileDefaultMask(route)
  const resource = resourceOf(route)
  const responses = [output, ...output.fields.flatMap(({ message }) => (isPlain(message) ? [message] : []))]

  return request => {
    addDefault?.(request)
    visitMasks(input, request, replaceMask)
  }

  function replaceMask(field: DescField, holder: JsonObject, name: string): void {
    const value = holder[name]
    // The structure check reports a mask that is not a string.
    if (typeof value !== 'string') return
    const beside = (field.parent === input ? resource : onlyMessage(field.parent))?.message
    const paths =
      field.name === 'update_mask' && beside !== undefined
        ? protoPathsOf(value, [beside], false)
        : protoPathsOf(value, beside === undefined ? responses : [...responses, beside], true)
    if (paths !== undefined) setPaths(holder, name, paths)
  }
}

/** Returns undefined if the mask of the route must be given, or if it has none. */
function compileDefaultMask(route: Route): ((request: JsonObject) => void) | undefined {
  const mask = route.descriptor.input.fields.find(field => field.name === 'update_mask')
  const isUpdateMask = mask?.fieldKind === 'message' && isMask(mask.message) && mask.oneof === undefined
  if (!isUpdateMask || route.httpMethod !== 'PATCH' || route.body.kind !== 'field') return undefined
  const resource = resourceOf(route)
  if (resource?.message === undefined) return undefined
  const { message, jsonName } = resource
  return request => {
    if (Object.hasOwn(request, mask.jsonName) || Object.hasOwn(request, mask.name)) return
    const content = ownProperty(request, jsonName)
    if (isObject(content)) setPaths(request, mask.jsonName, [...pathsOf(message, content, '')])
  }
}

/** Returns the field that the update mask refers to: the body, or the only message of the request besides masks. */
function resourceOf(route: Route): DescField | undefined {
  const { body, descriptor } = route
  if (takesRawBody(route)) return undefined
  if (body.kind === 'field')
    return body.field.fieldKind === 'message' && !isMask(body.field.message) ? body.field : undefined
  return onlyMessage(descriptor.input)
}

function onlyMessage({ fields }: DescMessage): DescField | undefined {
  const messages = fields.filter(isPlainMessage)
  return messages.length === 1 ? messages[0] : undefined
}

function setPaths(holder: JsonObject, name: string, paths: readonly string[]): void {
  setProperty(holder, name, new ProtoPaths(paths) as unknown as JsonValue)
}

function* pathsOf(message: DescMessage, json: JsonObject, prefix: string): Iterable<string> {
  const names = fieldsByName(message)
  for (const [name, value] of Object.entries(json)) {
    const field = names.get(name)
    // The structure check reports unknown fields.
    if (field === undefined) continue
    const path = prefix + field.name
    const isBranch = isObject(value) && isPlainMessage(field) && Object.keys(value).length > 0
    if (isBranch) yield* pathsOf(field.message as DescMessage, value, `${path}.`)
    else yield path
  }
}

/** Whether the fields of the value are updated one by one. Lists, maps and well-known types are replaced as a whole. */
function isPlainMessage({ fieldKind, message }: DescField): boolean {
  return fieldKind === 'message' && isPlain(message)
}

function isPlain(message: DescMessage | undefined): message is DescMessage {
  return message?.typeName.startsWith('google.protobuf.') === false
}
