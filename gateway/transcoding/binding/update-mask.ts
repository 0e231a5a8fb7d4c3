/**
 * What a PATCH without an update mask changes: the fields that its body has (AIP-134). Without the mask an upstream could
 * not tell a list that is to be emptied from one that was not spoken of.
 */
import type { DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf'
import type { Route } from '../../contract/route-table.ts'
import { fieldsByName } from './json-fields.ts'

/** @returns what adds the mask to a request's JSON, where none is given; undefined for a route that has none to give. */
export function compileUpdateMask(route: Route): ((tree: JsonObject) => void) | undefined {
  const { httpMethod, body, descriptor } = route
  const mask = descriptor.input.fields.find(
    ({ name, message }) => name === 'update_mask' && message?.typeName === 'google.protobuf.FieldMask',
  )
  if (httpMethod !== 'PATCH' || body.kind !== 'field' || mask === undefined) return undefined
  const { field } = body
  const { message } = field
  if (message === undefined) return undefined
  return tree => {
    const isGiven = Object.hasOwn(tree, mask.jsonName) || Object.hasOwn(tree, mask.name)
    const changes = tree[field.jsonName]
    if (isGiven || !isObject(changes)) return
    // As ProtoJSON has it: one text, with the names in lower camel case.
    tree[mask.jsonName] = [...pathsOf(message, changes, '')].join(',')
  }
}

function* pathsOf(message: DescMessage, json: JsonObject, prefix: string): Iterable<string> {
  const names = fieldsByName(message)
  for (const [name, value] of Object.entries(json)) {
    const field = names.get(name)
    // The structure check says that it is not known.
    if (field === undefined) continue
    const path = prefix + camelCase(field.name)
    const isBranch = isObject(value) && isPlainMessage(field) && Object.keys(value).length > 0
    if (isBranch) yield* pathsOf(field.message as DescMessage, value, `${path}.`)
    else yield path
  }
}

/** One whose fields are changed one by one: not a list or a map, nor one of google's own, which are values. */
function isPlainMessage({ fieldKind, message }: DescField): boolean {
  return fieldKind === 'message' && message?.typeName.startsWith('google.protobuf.') === false
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
