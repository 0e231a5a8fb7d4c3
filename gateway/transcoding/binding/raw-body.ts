/**
 * A raw body of a request (contract/http-body.ts) as the JSON of its google.api.HttpBody. `data` is the bytes of the body
 * instead of base64 text, which no JSON text can contain.
 */
import type { DescField, JsonObject, JsonValue } from '@bufbuild/protobuf'
import { ownProperty } from './json-fields.ts'

const EMPTY = new Uint8Array()

/**
 * Returns the JSON of the request message. `extensions` is unset.
 * @param field the field that is the body; undefined if the request message itself is.
 * @returns an empty object if the request has neither a body nor a Content-Type.
 */
export function rawBodyJson(
  field: DescField | undefined,
  body: Uint8Array | undefined,
  contentType: string | undefined,
): JsonObject {
  if (body === undefined && contentType === undefined) return {}
  const content: Record<string, unknown> = { data: body ?? EMPTY }
  if (contentType !== undefined) content['contentType'] = contentType
  return (field === undefined ? content : { [field.jsonName]: content }) as JsonObject
}

/** Returns the bytes that `rawBodyJson` put in place of a JSON value; undefined for any other value. */
export function rawData(json: unknown): Uint8Array | undefined {
  return json instanceof Uint8Array ? json : undefined
}

/**
 * Removes the data of a raw body, so that the rest is plain JSON.
 * @returns undefined if the request has none.
 */
export function takeRawData(request: JsonValue, field: DescField | undefined): Uint8Array | undefined {
  const holder = request as JsonObject
  const content = (field === undefined ? holder : ownProperty(holder, field.jsonName)) as JsonObject | undefined
  const data = rawData(content?.['data'])
  if (content !== undefined) delete content['data']
  return data
}
