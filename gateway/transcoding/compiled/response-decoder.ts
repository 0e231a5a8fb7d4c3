/** A response's message on the wire to its answer: what the edge consumes is taken out, the rest is JSON text. */
import type { DescField, DescMessage, FileRegistry } from '@bufbuild/protobuf'
import { isEtag } from '#runtime/grpc/contract.ts'
import { cookieFields, inlineOneof, isRevocation } from '../../contract/edge-fields.ts'
import type { Route } from '../../contract/route-table.ts'
import type { CookieChange } from '../../http/cookies.ts'
import type { DecodedResponse } from '../codec.ts'
import { isCompilable } from './compilable-types.ts'
import { fallBack } from './fallback.ts'
import { messageDecoder } from './message-codecs.ts'
import { compileObjectDecoder } from './object-decoder.ts'
import { wellKnownDecoder } from './well-known-decoders.ts'
import { DELIMITED, WireReader } from './wire-reader.ts'

type AnswerText = (reader: WireReader, start: number, end: number, depth: number) => DecodedResponse

/** @returns undefined for a method that is left to the reference. */
export function compileResponseDecoder(
  route: Route,
  registry: FileRegistry,
): ((message: Uint8Array) => DecodedResponse) | undefined {
  const { output } = route.descriptor
  const answer = inlineOneof(output)
    ? inlineAnswer(output, registry)
    : messageAnswer(output, registry, route.responseField)
  return (
    answer &&
    (message => {
      const reader = new WireReader(message)
      return answer(reader, 0, reader.buffer.length, 1)
    })
  )
}

/** The member's answer stands for the message, which has nothing but the member. */
function inlineAnswer(output: DescMessage, registry: FileRegistry): AnswerText | undefined {
  if (!isCompilable(output, registry)) return undefined
  const members = new Map<number, AnswerText>()
  for (const field of output.fields) {
    const member = field.message && messageAnswer(field.message, registry, undefined)
    if (member === undefined) return undefined
    members.set((field.number << 3) | DELIMITED, member)
  }
  return (reader, start, end, depth) => {
    const answer = members.get(reader.tag(start)) ?? fallBack()
    const length = reader.uint32(reader.position)
    const { position } = reader
    return position + length === end ? answer(reader, position, end, depth + 1) : fallBack()
  }
}

const NONE: readonly never[] = Object.freeze([])

function messageAnswer(
  schema: DescMessage,
  registry: FileRegistry,
  responseField: DescField | undefined,
): AnswerText | undefined {
  const cookies = cookieFields(schema)
  const revocations = schema.fields.filter(isRevocation)
  const tag = schema.fields.find(isEtag)
  if (cookies.length + revocations.length === 0 && tag === undefined && responseField === undefined) {
    const write = messageDecoder(registry, schema)
    return (reader, start, end, depth) => ({
      body: write(reader, start, end, depth),
      cookies: NONE,
      revocations: NONE,
      etag: undefined,
    })
  }
  const writerOf = (nested: DescMessage) => messageDecoder(registry, nested)
  const isOrdinary = isCompilable(schema, registry) && wellKnownDecoder(schema, writerOf) === undefined
  if (!isOrdinary || (responseField && revocations.length > 0)) return undefined

  const { fields, read, write, writeField } = compileObjectDecoder(schema, writerOf, new Set(revocations))
  const placeOf = (field: DescField) => fields.indexOf(field)
  const cookiePlaces = cookies.map(({ field, cookie, maxAge }) => ({
    place: placeOf(field),
    cookie,
    maxAgePlace: maxAge && placeOf(maxAge),
    maxAgeDefault: maxAge?.getDefaultValue() ?? 0,
  }))
  const revocationPlaces = revocations.map(placeOf)
  const tagPlace = tag && placeOf(tag)
  const responsePlace = responseField && placeOf(responseField)

  return (reader, start, end, depth) => {
    const slots = read(reader, start, end, depth)
    // What they revoke is rare, and the reference's.
    if (revocationPlaces.some(place => slots[place] !== undefined)) fallBack()
    const changes: CookieChange[] = []
    for (const { place, cookie, maxAgePlace, maxAgeDefault } of cookiePlaces) {
      const value = slots[place] as string | undefined
      if (value === undefined) continue
      const maxAge = maxAgePlace === undefined ? undefined : Number(slots[maxAgePlace] ?? maxAgeDefault)
      changes.push({ cookie, value: textOf(value) ?? '', maxAge })
      slots[place] = undefined
    }
    const etag = tagPlace === undefined ? undefined : textOf(slots[tagPlace]) || undefined
    const body = responsePlace === undefined ? write(slots) : (writeField(slots, responsePlace) ?? 'null')
    return { body, cookies: changes, revocations: NONE, etag }
  }
}

/** @param slot a string as JSON has it, between its quotes. */
function textOf(slot: unknown): string | undefined {
  return slot === undefined ? undefined : JSON.parse(`"${slot}"`)
}
