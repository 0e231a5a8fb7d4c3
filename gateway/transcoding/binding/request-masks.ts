/**
 * The masks of a request as proto paths, and the mask that a PATCH may omit (AIP-134). Which message the paths of a mask
 * refer to follows from its name and place: `update_mask` to the resource beside it, others to the response.
 */
import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { invalidArgument, type Violation } from '#runtime/status.ts'
import type { Route } from '../../contract/route-table.ts'
import { isPlain, isPlainMessage, onlyMessage, resourceOf, updateMaskOf } from '../../contract/update-mask.ts'
import { outputOnlyFields } from '../../contract/validation/field-behavior.ts'
import { fieldsWithMasks, ProtoPaths, protoPathsOf, visitMasks, type Way } from './field-masks.ts'
import { fieldsByName, isObject, ownProperty, setProperty } from './json-fields.ts'

/**
 * @returns a function that replaces the masks of a request by their proto paths. A PATCH whose body is the resource may
 * omit its `update_mask`: it then names the fields of the body, because an upstream cannot distinguish a list to be
 * emptied from a list that was not sent. Undefined if the request contains no mask.
 *
 * Paths of OUTPUT_ONLY fields are removed from an `update_mask`, as are their values, so that no upstream sets them to
 * nothing. The function throws INVALID_ARGUMENT for a mask with no other path: an empty mask means all fields.
 */
export function compileMasks(route: Route): ((request: JsonObject) => void) | undefined {
  const { input, output } = route.descriptor
  if (fieldsWithMasks(input).length === 0) return undefined
  const addDefault = compileDefaultMask(route)
  const resource = resourceOf(route)
  const outputOnly = outputOnlyFields(input)
  const responses = [output, ...output.fields.flatMap(({ message }) => (isPlain(message) ? [message] : []))]

  return request => {
    addDefault?.(request)
    visitMasks(input, request, replaceMask)
    if (outputOnly.size > 0) removeOutputOnly(request)
  }

  function replaceMask(field: DescField, holder: JsonObject, name: string): void {
    const value = holder[name]
    // The structure check reports a mask that is not a string.
    if (typeof value !== 'string') return
    const beside = resourceBeside(field)
    const paths =
      field.name === 'update_mask' && beside !== undefined
        ? protoPathsOf(value, [beside], false)
        : protoPathsOf(value, beside === undefined ? responses : [...responses, beside], true)
    if (paths !== undefined) setPaths(holder, name, paths)
  }

  function removeOutputOnly(request: JsonObject): void {
    const violations: Violation[] = []
    const visit = (field: DescField, holder: JsonObject, name: string, way: Way = []) => {
      const mask: unknown = holder[name]
      const beside = resourceBeside(field)
      if (field.name !== 'update_mask' || beside === undefined || !(mask instanceof ProtoPaths)) return
      const paths = mask.paths.filter(path => !namesOneOf(outputOnly, beside, path))
      if (paths.length === 0 && mask.paths.length > 0) {
        violations.push({ field: pathOf(way), description: 'names only fields that the service sets' })
      }
      setPaths(holder, name, paths)
    }
    visitMasks(input, request, visit, [])
    if (violations.length > 0) throw invalidArgument(violations)
  }

  /** Returns the message that an update mask refers to. */
  function resourceBeside({ parent }: DescField): DescMessage | undefined {
    return (parent === input ? resource : onlyMessage(parent))?.message
  }
}

/** Returns undefined if the mask of the route must be given, or if it has none. */
function compileDefaultMask(route: Route): ((request: JsonObject) => void) | undefined {
  const mask = updateMaskOf(route.descriptor.input)
  if (mask === undefined || route.httpMethod !== 'PATCH' || route.body.kind !== 'field') return undefined
  const resource = resourceOf(route)
  if (resource?.message === undefined) return undefined
  const { message, jsonName } = resource
  const outputOnly = outputOnlyFields(message)
  return request => {
    if (Object.hasOwn(request, mask.jsonName) || Object.hasOwn(request, mask.name)) return
    const content = ownProperty(request, jsonName)
    if (isObject(content)) setPaths(request, mask.jsonName, [...pathsOf(message, content, '', outputOnly)])
  }
}

function setPaths(holder: JsonObject, name: string, paths: readonly string[]): void {
  setProperty(holder, name, new ProtoPaths(paths) as unknown as JsonValue)
}

/** Returns the path of a mask in the form of the field rules. */
function pathOf(way: Way): string {
  return way.reduce<string>((path, step) => {
    if (typeof step === 'string') return `${path}[${step}]`
    return path === '' ? step.jsonName : `${path}.${step.jsonName}`
  }, '')
}

/** Whether a field of the path is one of `fields`. @param path proto names. */
function namesOneOf(fields: ReadonlySet<DescField>, resource: DescMessage, path: string): boolean {
  let message: DescMessage | undefined = resource
  for (const name of path.split('.')) {
    const field: DescField | undefined = message?.fields.find(candidate => candidate.name === name)
    if (field === undefined) return false
    if (fields.has(field)) return true
    message = field.fieldKind === 'message' ? field.message : undefined
  }
  return false
}

function* pathsOf(
  message: DescMessage,
  json: JsonObject,
  prefix: string,
  excluded: ReadonlySet<DescField>,
): Iterable<string> {
  const names = fieldsByName(message)
  for (const [name, value] of Object.entries(json)) {
    const field = names.get(name)
    // The structure check reports unknown fields.
    if (field === undefined || excluded.has(field)) continue
    const path = prefix + field.name
    const isBranch = isObject(value) && isPlainMessage(field) && Object.keys(value).length > 0
    if (isBranch) yield* pathsOf(field.message as DescMessage, value, `${path}.`, excluded)
    else yield path
  }
}
