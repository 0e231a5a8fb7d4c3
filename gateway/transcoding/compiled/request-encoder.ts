import type { DescField, FileRegistry, JsonValue } from '@bufbuild/protobuf'
import { isIfMatch } from '#runtime/grpc/contract.ts'
import { cookieFields } from '../../contract/edge-fields.ts'
import type { Route } from '../../contract/route-table.ts'
import { parseIfMatch } from '../binding/entity-tag.ts'
import { compileBinding } from '../binding/request-binding.ts'
import type { Codec } from '../codec.ts'
import { bindsOutputOnly } from '../validation/output-only.ts'
import { isCompilableRequest } from './compilable-types.ts'
import { fallBack } from './fallback.ts'
import { encoderContext } from './message-codecs.ts'
import { compileObjectEncoder } from './object-encoder.ts'
import { wellKnownEncoder } from './well-known-encoders.ts'
import { WireWriter } from './wire-writer.ts'

// Shared by all routes: encoding is synchronous, so only one request uses it at a time.
const writer = new WireWriter()

/**
 * Compiles the encoder of a route, which binds a request to a JSON value and writes that value as the request message.
 * @returns undefined if the request type cannot be compiled.
 */
export function compileRequestEncoder(route: Route, registry: FileRegistry): Codec['encode'] | undefined {
  const { input } = route.descriptor
  if (!isCompilableRequest(input, registry) || wellKnownEncoder(input) !== undefined) return undefined
  // The encoder of a message type is the same for all routes, and the path keeps the value of one route only.
  if (bindsOutputOnly(route)) return undefined
  const bind = compileBinding(route, registry)
  const encode = compileObjectEncoder(input, encoderContext(registry), true)
  const cookies = cookieFields(input)
  const ifMatch = input.fields.find(isIfMatch)

  return request => {
    const json = bind(request)
    for (const { field, cookie } of cookies) setHeaderField(json, field, request.cookies[cookie.name])
    if (ifMatch !== undefined) setHeaderField(json, ifMatch, tagsOf(request.ifMatch))
    writer.reset()
    encode(writer, json, 1)
    return writer.take()
  }
}

/** Parses If-Match. Falls back if it is malformed, so that the reference codec reports all violations in its order. */
function tagsOf(header: string | undefined): string[] | undefined {
  try {
    return header === undefined ? undefined : parseIfMatch(header)
  } catch {
    return fallBack()
  }
}

/** Sets a field that a header carries. Falls back if the JSON already contains the field, which is invalid. */
function setHeaderField(json: JsonValue, { name, jsonName }: DescField, value: string | string[] | undefined): void {
  const isObject = typeof json === 'object' && json !== null && !Array.isArray(json)
  if (!isObject || Object.hasOwn(json, name) || Object.hasOwn(json, jsonName)) fallBack()
  if (value !== undefined) json[jsonName] = value
}
