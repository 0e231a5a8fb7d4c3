/**
 * The update mask of a request (AIP-134), by proto names. ProtoJSON cannot name all fields: its `line1` means `line1`,
 * never `line_1`, and its `camelCase` means `camel_case`. The paths are therefore resolved against the resource and
 * bypass the JSON of the request.
 */
import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { protoSnakeCase } from '@bufbuild/protobuf/reflect'
import type { Route } from '../../contract/route-table.ts'
import { findField } from './field-paths.ts'
import { fieldsByName } from './json-fields.ts'

/** The paths of a FieldMask by proto names. It is the value of the mask in a bound request, where JSON has a string. */
export class ProtoPaths {
  readonly paths: readonly string[]

  constructor(paths: readonly string[]) {
    this.paths = paths
  }
}

/** Returns the field `update_mask` of type FieldMask outside of a oneof; undefined if the message has none. */
export function updateMaskOf({ fields }: DescMessage): DescField | undefined {
  const mask = fields.find(field => field.name === 'update_mask')
  const isMask = mask?.fieldKind === 'message' && mask.message.typeName === 'google.protobuf.FieldMask'
  return isMask && mask.oneof === undefined ? mask : undefined
}

/**
 * @returns a function that replaces the mask of a request by its proto paths, each segment of which may be a JSON name
 * or a proto name. A PATCH whose body is the resource may omit the mask: it then names the fields of the body, because
 * an upstream cannot distinguish a list to be emptied from a list that was not sent. Undefined if the request has no
 * `update_mask` or no message that it can refer to.
 */
export function compileUpdateMask(route: Route): ((request: JsonObject) => void) | undefined {
  const mask = updateMaskOf(route.descriptor.input)
  const resource = resourceOf(route)
  if (mask === undefined || resource?.message === undefined) return undefined
  const { message } = resource
  const names = [...new Set([mask.jsonName, mask.name])]
  const hasDefault = route.httpMethod === 'PATCH' && route.body.kind === 'field'
  return request => {
    const given = names.filter(name => Object.hasOwn(request, name))
    if (given.length === 0) {
      const content = request[resource.jsonName]
      if (hasDefault && isObject(content)) setMask(request, mask.jsonName, [...pathsOf(message, content, '')])
      return
    }
    const [name = '', ...others] = given
    const value = request[name]
    // The structure check reports a mask under both its names, and one that is not valid.
    if (typeof value !== 'string' || others.length > 0) return
    const paths = protoPaths(message, value)
    if (paths !== undefined) setMask(request, name, paths)
  }
}

/** Returns the field that the mask refers to: the body, or the only message of the request besides the mask. */
function resourceOf({ body, descriptor }: Route): DescField | undefined {
  if (body.kind === 'field') return body.field.fieldKind === 'message' ? body.field : undefined
  const messages = descriptor.input.fields.filter(isPlainMessage)
  return messages.length === 1 ? messages[0] : undefined
}

function setMask(request: JsonObject, name: string, paths: readonly string[]): void {
  const values: Record<string, JsonValue | ProtoPaths> = request
  values[name] = new ProtoPaths(paths)
}

/**
 * Removes a ProtoPaths from the JSON of a request, so that the rest is plain JSON.
 * @returns undefined if the mask is absent, or JSON that ProtoJSON must judge.
 */
export function takeProtoPaths(request: JsonValue, mask: DescField): ProtoPaths | undefined {
  if (!isObject(request)) return undefined
  for (const name of [mask.jsonName, mask.name]) {
    const value: unknown = request[name]
    if (!(value instanceof ProtoPaths)) continue
    delete request[name]
    return value
  }
  return undefined
}

/** @returns undefined if a path is unknown and not a path of ProtoJSON either; the structure check reports it. */
function protoPaths(resource: DescMessage, mask: string): string[] | undefined {
  if (mask === '') return []
  if (!mask.isWellFormed()) return undefined
  const paths: string[] = []
  for (const path of mask.split(',')) {
    const resolved = resolvePath(resource, path) ?? (path.includes('_') ? undefined : protoSnakeCase(path))
    if (resolved === undefined) return undefined
    paths.push(resolved)
  }
  return paths
}

function resolvePath(resource: DescMessage, path: string): string | undefined {
  const names: string[] = []
  let message: DescMessage | undefined = resource
  const segments = path.split('.')
  for (let at = 0; at < segments.length; ) {
    const found: ReturnType<typeof findField> = message && findField(message, segments, at)
    if (found === undefined) return undefined
    const { field, end }: { field: DescField; end: number } = found
    names.push(field.name)
    // What follows is a key of a map or an index, not the name of a field.
    if (field.fieldKind === 'map' || field.fieldKind === 'list') return [...names, ...segments.slice(end)].join('.')
    message = field.message
    at = end
  }
  return names.join('.')
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
  return fieldKind === 'message' && message?.typeName.startsWith('google.protobuf.') === false
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}
