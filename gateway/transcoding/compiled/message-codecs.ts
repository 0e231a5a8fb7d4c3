/**
 * Encoders and decoders per message type. Each type is compiled once per registry, and the result is shared by all
 * methods whose requests or responses contain the type.
 */
import { type DescMessage, type FileRegistry, fromBinary } from '@bufbuild/protobuf'
import { jsonText, messageJson } from '../reference/message-json.ts'
import { isCompilable, isCompilableRequest } from './compilable-types.ts'
import { fallBack } from './fallback.ts'
import type { DecoderOf, MessageDecoder } from './field-decoder.ts'
import type { EncoderContext, MessageEncoder } from './field-encoder.ts'
import { compileObjectDecoder, MAX_DEPTH } from './object-decoder.ts'
import { compileObjectEncoder } from './object-encoder.ts'
import { wellKnownDecoder } from './well-known-decoders.ts'
import { wellKnownEncoder } from './well-known-encoders.ts'

/** @returns the encoder of a message type. If the type cannot be compiled, the encoder always falls back. */
export const messageEncoder = oncePerType((registry: FileRegistry, schema: DescMessage): MessageEncoder => {
  if (!isCompilableRequest(schema, registry)) return fallBack
  return wellKnownEncoder(schema) ?? compileObjectEncoder(schema, encoderContext(registry), false)
})

export function encoderContext(registry: FileRegistry): EncoderContext {
  return { registry, encoderOf: schema => messageEncoder(registry, schema) }
}

/** @returns the decoder of a message type. If the type cannot be compiled, the decoder uses @bufbuild/protobuf. */
export const messageDecoder = oncePerType((registry: FileRegistry, schema: DescMessage): MessageDecoder => {
  if (!isCompilable(schema, registry)) return bufbuildDecoder(registry, schema)
  const decoderOf: DecoderOf = nested => messageDecoder(registry, nested)
  const wellKnown = wellKnownDecoder(schema, decoderOf)
  if (wellKnown !== undefined) return wellKnown
  const { read, write } = compileObjectDecoder(schema, decoderOf)
  return (reader, start, end, depth) => write(read(reader, start, end, depth))
})

/** Decodes only the nested message with @bufbuild/protobuf, so that the rest of the response stays compiled. */
function bufbuildDecoder(registry: FileRegistry, schema: DescMessage): MessageDecoder {
  return (reader, start, end, depth) => {
    if (depth > MAX_DEPTH) fallBack()
    try {
      const bytes = reader.buffer.subarray(start, end)
      const message = fromBinary(schema, bytes, { recursionLimit: MAX_DEPTH + 1 - depth })
      return jsonText(messageJson(schema, message, registry))
    } catch {
      // The reference codec repeats the error for the whole message.
      return fallBack()
    }
  }
}

type Compile<Compiled> = (registry: FileRegistry, schema: DescMessage) => Compiled

/** Caches the result of `compile` per registry and message type, and supports types that contain themselves. */
function oncePerType<Parameters extends unknown[], Result>(
  compile: Compile<(...parameters: Parameters) => Result>,
): Compile<(...parameters: Parameters) => Result> {
  const cache = new WeakMap<FileRegistry, Map<DescMessage, (...parameters: Parameters) => Result>>()
  return (registry, schema) => {
    const ofRegistry = cache.get(registry) ?? new Map()
    cache.set(registry, ofRegistry)
    const found = ofRegistry.get(schema)
    if (found !== undefined) return found
    // Set before the type is compiled, so that compiling a recursive type terminates.
    ofRegistry.set(schema, (...parameters: Parameters) => compiled(...parameters))
    const compiled = compile(registry, schema)
    ofRegistry.set(schema, compiled)
    return compiled
  }
}
