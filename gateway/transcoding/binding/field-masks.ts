/**
 * The field masks of a request, by proto names. ProtoJSON cannot name all fields: its `line1` means `line1`, never
 * `line_1`, and its `camelCase` means `camel_case`. The paths therefore bypass the JSON of the request.
 */
import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { protoSnakeCase, type ReflectList, type ReflectMap, type ReflectMessage } from '@bufbuild/protobuf/reflect'
import type { FieldMask } from '@bufbuild/protobuf/wkt'
import { messageKind, scalarKind } from '../../contract/json-schema.ts'
import { findField } from './field-paths.ts'
import { fieldsByName, isObject, setProperty } from './json-fields.ts'

/** The paths of a FieldMask by proto names. It is the value of the mask in a bound request, where JSON has a string. */
export class ProtoPaths {
  readonly paths: readonly string[]

  constructor(paths: readonly string[]) {
    this.paths = paths
  }
}

/** The way from a message to one that it contains: fields, each list or map followed by the index or key of an entry. */
export type Way = readonly (DescField | string)[]

/**
 * Gets a FieldMask in the JSON of a request: `holder[name]`, which may be any JSON.
 * @param field of the mask, or of the list or map that contains it.
 */
type MaskVisitor = (field: DescField, holder: JsonObject, name: string, way: Way | undefined) => void

/**
 * Calls `visit` for each FieldMask in the JSON of a message, which need not fit the message.
 * @param way to the message; undefined if `visit` needs no way, which saves memory.
 */
export function visitMasks(message: DescMessage, json: JsonObject, visit: MaskVisitor, way?: Way): void {
  for (const field of fieldsWithMasks(message)) {
    visitField(field, json, field.jsonName, visit, way)
    if (field.name !== field.jsonName) visitField(field, json, field.name, visit, way)
  }
}

function visitField(field: DescField, holder: JsonObject, name: string, visit: MaskVisitor, way?: Way): void {
  if (!Object.hasOwn(holder, name)) return
  const value = holder[name]
  const fieldWay = way && [...way, field]
  if (field.fieldKind === 'message') visitValue(field, holder, name, visit, fieldWay)
  else if (typeof value === 'object' && value !== null) {
    const entries = value as JsonObject
    for (const key of Object.keys(entries)) visitValue(field, entries, key, visit, fieldWay && [...fieldWay, key])
  }
}

function visitValue(field: DescField, holder: JsonObject, name: string, visit: MaskVisitor, way?: Way): void {
  const type = field.message as DescMessage
  if (isMask(type)) {
    visit(field, holder, name, way)
    return
  }
  const value = holder[name]
  if (isObject(value)) visitMasks(type, value, visit, way)
}

const cache = new WeakMap<DescMessage, readonly DescField[]>()

/**
 * Returns the fields that are, or contain, a FieldMask. Maps count only if their keys are strings: other keys have
 * several spellings in JSON.
 */
export function fieldsWithMasks(message: DescMessage): readonly DescField[] {
  let fields = cache.get(message)
  if (fields === undefined) {
    fields = [...new Set(fieldsByName(message).values())].filter(
      field =>
        field.message !== undefined &&
        (field.fieldKind !== 'map' || hasStringKeys(field)) &&
        reachesMask(field.message),
    )
    cache.set(message, fields)
  }
  return fields
}

function hasStringKeys({ mapKey }: DescField & { fieldKind: 'map' }): boolean {
  return scalarKind(mapKey) === 'string'
}

function reachesMask(message: DescMessage, seen = new Set<DescMessage>()): boolean {
  if (isMask(message)) return true
  if (messageKind(message) !== 'message' || seen.has(message)) return false
  seen.add(message)
  return [...new Set(fieldsByName(message).values())].some(
    field => field.message !== undefined && reachesMask(field.message, seen),
  )
}

function isMask(message: DescMessage): boolean {
  return messageKind(message) === 'field-mask'
}

/** Proto paths, and the way to the FieldMask that they belong into. */
export interface TakenMask {
  readonly way: Way
  readonly paths: readonly string[]
}

/** Replaces each ProtoPaths in the JSON of a request by the mask without paths, so that all of it is plain JSON. */
export function takeProtoPaths(message: DescMessage, json: JsonValue): TakenMask[] {
  const taken: TakenMask[] = []
  if (!isObject(json)) return taken
  const take: MaskVisitor = (_field, holder, name, way = []) => {
    const value: unknown = holder[name]
    if (!(value instanceof ProtoPaths)) return
    taken.push({ way, paths: value.paths })
    setProperty(holder, name, '')
  }
  visitMasks(message, json, take, [])
  return taken
}

/** Sets the paths of a FieldMask that the message contains. */
export function setProtoPaths(message: ReflectMessage, { way, paths }: TakenMask): void {
  let content: unknown = message
  for (const step of way) {
    if (typeof step !== 'string') content = (content as ReflectMessage).get(step)
    else if ((content as ReflectList | ReflectMap).field().fieldKind === 'list')
      content = (content as ReflectList).get(Number(step))
    else content = (content as ReflectMap).get(step)
  }
  const mask = (content as ReflectMessage).message as FieldMask
  mask.paths = [...paths]
}

/**
 * Returns the proto names of the paths of a mask. Each segment of a path may be a JSON name or a proto name.
 * @param resources the messages that the mask may refer to; the first one that has a path decides its names.
 * @param acceptsUnknown whether a path with `_` that no resource has is taken as it is.
 * @returns undefined if a path is empty, or unknown and not a path of ProtoJSON; the structure check reports it.
 */
export function protoPathsOf(
  mask: string,
  resources: readonly DescMessage[],
  acceptsUnknown: boolean,
): string[] | undefined {
  if (mask === '') return []
  if (!mask.isWellFormed()) return undefined
  const paths: string[] = []
  for (const path of mask.split(',')) {
    const resolved = resolvePath(resources, path) ?? unknownPath(path, acceptsUnknown)
    if (resolved === undefined) return undefined
    paths.push(resolved)
  }
  return paths
}

function unknownPath(path: string, acceptsUnknown: boolean): string | undefined {
  if (path === '') return undefined
  if (!path.includes('_')) return protoSnakeCase(path)
  return acceptsUnknown ? path : undefined
}

function resolvePath(resources: readonly DescMessage[], path: string): string | undefined {
  for (const resource of resources) {
    const resolved = resolveIn(resource, path)
    if (resolved !== undefined) return resolved
  }
  return undefined
}

function resolveIn(resource: DescMessage, path: string): string | undefined {
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
