/**
 * Compiles the decoder of a route: reads a response message, extracts the fields that the edge consumes (cookies,
 * entity tag) and writes the rest as JSON text.
 */
import type { DescField, DescMessage, FileRegistry } from '@bufbuild/protobuf'
import { isEtag } from '#runtime/grpc/contract.ts'
import { cookieFields, inlineOneof, isRevocation } from '../../contract/edge-fields.ts'
import type { Route } from '../../contract/route-table.ts'
import type { CookieChange } from '../../http/cookies.ts'
import type { Codec, DecodedResponse } from '../codec.ts'
import { isCompilable } from './compilable-types.ts'
import { fallBack } from './fallback.ts'
import { messageDecoder } from './message-codecs.ts'
import { compileObjectDecoder } from './object-decoder.ts'
import { wellKnownDecoder } from './well-known-decoders.ts'
import { DELIMITED, WireReader } from './wire-reader.ts'

type ResponseDecoder = (reader: WireReader, start: number, end: number, depth: number) => DecodedResponse

/** Compiles the decoder of a route. @returns undefined if the response type cannot be compiled. */
export function compileResponseDecoder(route: Route, registry: FileRegistry): Codec['decode'] | undefined {
  const { output } = route.descriptor
  const decode = inlineOneof(output)
    ? compileInlineDecoder(output, registry)
    : compileMessageDecoder(output, registry, route.responseField)
  return (
    decode &&
    (message => {
      const reader = new WireReader(message)
      return decode(reader, 0, reader.buffer.length, 1)
    })
  )
}

/** For a message with an inline oneof: the member that is set becomes the response. Falls back if there is more. */
function compileInlineDecoder(output: DescMessage, registry: FileRegistry): ResponseDecoder | undefined {
  if (!isCompilable(output, registry)) return undefined
  const members = new Map<number, ResponseDecoder>()
  for (const field of output.fields) {
    const member = field.message && compileMessageDecoder(field.message, registry, undefined)
    if (member === undefined) return undefined
    members.set((field.number << 3) | DELIMITED, member)
  }
  return (reader, start, end, depth) => {
    const decode = members.get(reader.tag(start)) ?? fallBack()
    const length = reader.uint32(reader.position)
    const { position } = reader
    return position + length === end ? decode(reader, position, end, depth + 1) : fallBack()
  }
}

const NONE: readonly never[] = Object.freeze([])

function compileMessageDecoder(
  schema: DescMessage,
  registry: FileRegistry,
  responseField: DescField | undefined,
): ResponseDecoder | undefined {
  const cookies = cookieFields(schema)
  const revocations = schema.fields.filter(isRevocation)
  const etagField = schema.fields.find(isEtag)
  if (cookies.length + revocations.length === 0 && etagField === undefined && responseField === undefined) {
    const decode = messageDecoder(registry, schema)
    return (reader, start, end, depth) => ({
      body: decode(reader, start, end, depth),
      cookies: NONE,
      revocations: NONE,
      etag: undefined,
    })
  }
  const decoderOf = (nested: DescMessage) => messageDecoder(registry, nested)
  const isPlainMessage = isCompilable(schema, registry) && wellKnownDecoder(schema, decoderOf) === undefined
  if (!isPlainMessage || (responseField && revocations.length > 0)) return undefined

  const { fields, read, write, writeField } = compileObjectDecoder(schema, decoderOf, new Set(revocations))
  const slotOf = (field: DescField) => fields.indexOf(field)
  const cookieSlots = cookies.map(({ field, cookie, maxAge }) => ({
    slot: slotOf(field),
    cookie,
    maxAgeSlot: maxAge && slotOf(maxAge),
    maxAgeDefault: maxAge?.getDefaultValue() ?? 0,
  }))
  const revocationSlots = revocations.map(slotOf)
  const etagSlot = etagField && slotOf(etagField)
  const responseSlot = responseField && slotOf(responseField)

  return (reader, start, end, depth) => {
    const slots = read(reader, start, end, depth)
    // Responses with revocations are rare.
    if (revocationSlots.some(slot => slots[slot] !== undefined)) fallBack()
    const changes: CookieChange[] = []
    for (const { slot, cookie, maxAgeSlot, maxAgeDefault } of cookieSlots) {
      const value = slots[slot] as string | undefined
      if (value === undefined) continue
      const maxAge = maxAgeSlot === undefined ? undefined : Number(slots[maxAgeSlot] ?? maxAgeDefault)
      changes.push({ cookie, value: unescaped(value) ?? '', maxAge })
      slots[slot] = undefined
    }
    const etag = etagSlot === undefined ? undefined : unescaped(slots[etagSlot]) || undefined
    const body = responseSlot === undefined ? write(slots) : (writeField(slots, responseSlot) ?? 'null')
    return { body, cookies: changes, revocations: NONE, etag }
  }
}

/** Returns the string of a slot. @param slot JSON text of a string without its quotes. */
function unescaped(slot: unknown): string | undefined {
  return slot === undefined ? undefined : JSON.parse(`"${slot}"`)
}
