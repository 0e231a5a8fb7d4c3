/**
 * The compiled codec of a route: a request to message bytes, and message bytes to JSON text, without a message object
 * in between. It does the same as the reference codec (../reference), several times as fast.
 *
 * When: the gateway compiles one codec per route at boot. Message types are compiled once and shared by all routes.
 *
 * How: `request-encoder` binds the request to a JSON value and writes that value as protobuf; `response-decoder` reads
 * protobuf and concatenates JSON text. Both are composed of one encoder or decoder per message type (`message-codecs`),
 * object (`object-encoder`, `object-decoder`), field, scalar and well-known type. These are closures, not generated
 * source code, so that no name in a contract can be executed as code.
 *
 * Fallback: compiled code handles the common inputs. If it meets a rare or invalid one, it calls `fallBack`
 * (`fallback`), and the reference codec processes the same input from the start. Error details therefore exist once, in
 * the reference codec. An invalid request costs both attempts; the body limit bounds that cost. A message type that
 * cannot be compiled (`compilable-types`) makes each request that contains it fall back. In a response, only the nested
 * message of that type is decoded by @bufbuild/protobuf.
 *
 * Equality with the reference codec is tested on the same input: with generated types, requests and messages (valid,
 * invalid and damaged), with tables of edge cases, and with every request that the tests of the gateway send.
 *
 * CPU time of one call in us, compiled and reference codec in one run of `test/bench/codec.ts`:
 *
 *   encode GET /v1/users/{id}        0.45   1.33
 *   encode POST login, 118 bytes     1.65   3.64   0.9 of each for strict JSON parsing
 *   decode User, 222 bytes           0.66   4.86
 *   decode ListUsers with 50 users   38     243
 */
import type { DescMessage, FileRegistry } from '@bufbuild/protobuf'
import { returnsRawBody, takesRawBody } from '../../contract/http-body.ts'
import type { Route } from '../../contract/route-table.ts'
import type { Codec } from '../codec.ts'
import { createReferenceCodec } from '../reference/reference-codec.ts'
import { isCompilable, isCompilableRequest, uncompiledTypes } from './compilable-types.ts'
import { withFallback } from './fallback.ts'
import { compileRawResponseDecoder } from './raw-response-decoder.ts'
import { compileRequestEncoder } from './request-encoder.ts'
import { compileResponseDecoder } from './response-decoder.ts'

/** A compiled codec, and the parts of its method that are not compiled. */
export interface CompiledCodec extends Codec {
  /** What always uses the reference codec: full names of message types, `every request` or `every response`. */
  readonly uncompiled: readonly string[]
}

/**
 * Compiles the codec of a route.
 * @param registry the message types that an Any may contain.
 * @param reference the codec to fall back to.
 */
export function createCompiledCodec(
  route: Route,
  registry: FileRegistry,
  reference: Codec = createReferenceCodec(route, registry),
): CompiledCodec {
  const { input, output } = route.descriptor
  const isRaw = returnsRawBody(route)
  const encode = compileRequestEncoder(route, registry)
  const decode = isRaw ? compileRawResponseDecoder(route, registry) : compileResponseDecoder(route, registry)
  const rawInput = takesRawBody(route) ? [rawBodyType(route.body, input)] : []
  return {
    uncompiled: [
      ...(encode === undefined
        ? ['every request']
        : uncompiledTypes(input, registry, isCompilableRequest, new Set(rawInput))),
      ...(decode === undefined ? ['every response'] : isRaw ? [] : uncompiledTypes(output, registry, isCompilable)),
    ],
    encode: encode === undefined ? reference.encode : request => withFallback(encode, reference.encode, request),
    // Clients that ask for enum values as numbers are few, so that case is not compiled.
    decode:
      decode === undefined
        ? reference.decode
        : (message, enumsAsIntegers = false) =>
            enumsAsIntegers ? reference.decode(message, true) : withFallback(decode, reference.decode, message),
  }
}

/** The type of a raw body, of which `extensions` are never set. */
function rawBodyType(body: Route['body'], input: DescMessage): DescMessage {
  return (body.kind === 'field' && body.field.message) || input
}
