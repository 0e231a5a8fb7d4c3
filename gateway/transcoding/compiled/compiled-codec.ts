/**
 * The codec that is compiled for a method at boot: message bytes to JSON text and JSON to message bytes, with no message
 * object between. What it writes is the reference's to the byte, and all that it is fallBack about (see fallback.ts) it
 * hands to the reference, which makes the message or the error. So a refusal has the reference's words, and costs both:
 * refusals are rare, and what a hostile one costs is bounded by the limit of a body.
 *
 * It is made of closures and not of generated reader, into which no name of a contract could slip as code.
 *
 * CPU time of one call, compiled and reference in one run of `test/bench/codec.ts`, in us:
 *
 *   encode GET /v1/users/{id}        0.45   1.33
 *   encode POST login, 118 bytes     1.65   3.64   of which 0.9 read the JSON strictly, as both do
 *   decode User, 222 bytes           0.66   4.86
 *   decode ListUsers with 50 users   38     243
 */
import type { DescField, FileRegistry, JsonValue } from '@bufbuild/protobuf'
import { isIfMatch } from '#runtime/grpc/contract.ts'
import { cookieFields } from '../../contract/edge-fields.ts'
import type { Route } from '../../contract/route-table.ts'
import { parseIfMatch } from '../binding/entity-tag.ts'
import { compileBinding } from '../binding/request-binding.ts'
import type { Codec } from '../codec.ts'
import { createReferenceCodec } from '../reference/reference-codec.ts'
import { isCompilable, uncompiledTypes } from './compilable-types.ts'
import { fallBack, withFallback } from './fallback.ts'
import { messageEncoder } from './message-codecs.ts'
import { compileObjectEncoder } from './object-encoder.ts'
import { compileResponseDecoder } from './response-decoder.ts'
import { wellKnownEncoder } from './well-known-encoders.ts'
import { WireWriter } from './wire-writer.ts'

export interface CompiledCodec extends Codec {
  /** What always goes to the reference: the types by their names, or all requests or responses. */
  readonly uncompiled: readonly string[]
}

/** @param registry for the types that an Any may hold. */
export function createCompiledCodec(
  route: Route,
  registry: FileRegistry,
  reference: Codec = createReferenceCodec(route, registry),
): CompiledCodec {
  const { input, output } = route.descriptor
  const encode = compileEncode(route, registry)
  const decode = compileResponseDecoder(route, registry)
  return {
    uncompiled: [
      ...(encode === undefined ? ['every request'] : uncompiledTypes(input, registry)),
      ...(decode === undefined ? ['every response'] : uncompiledTypes(output, registry)),
    ],
    encode: encode === undefined ? reference.encode : request => withFallback(encode, reference.encode, request),
    decode: decode === undefined ? reference.decode : message => withFallback(decode, reference.decode, message),
  }
}

// One for all, since no encoding begins before another has ended.
const writer = new WireWriter()

/** @returns undefined for a method that is left to the reference. */
function compileEncode(route: Route, registry: FileRegistry): Codec['encode'] | undefined {
  const { input } = route.descriptor
  if (!isCompilable(input, registry) || wellKnownEncoder(input) !== undefined) return undefined
  const bind = compileBinding(route)
  const write = compileObjectEncoder(input, schema => messageEncoder(registry, schema), true)
  const cookies = cookieFields(input)
  const ifMatch = input.fields.find(isIfMatch)

  return request => {
    const json = bind(request)
    for (const { field, cookie } of cookies) take(json, field, request.cookies[cookie.name])
    if (ifMatch !== undefined) take(json, ifMatch, tagsOf(request.ifMatch))
    writer.reset()
    write(writer, json, 1)
    return writer.take()
  }
}

/** What is wrong with it may not be all that is wrong with the request. */
function tagsOf(header: string | undefined): string[] | undefined {
  try {
    return header === undefined ? undefined : parseIfMatch(header)
  } catch {
    return fallBack()
  }
}

/** What a header carries stands in the JSON under no other name. */
function take(json: JsonValue, { name, jsonName }: DescField, value: string | string[] | undefined): void {
  const isObject = typeof json === 'object' && json !== null && !Array.isArray(json)
  if (!isObject || Object.hasOwn(json, name) || Object.hasOwn(json, jsonName)) fallBack()
  if (value !== undefined) json[jsonName] = value
}
