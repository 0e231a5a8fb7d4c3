/**
 * Compiles the decoder of a raw response (contract/http-body.ts). The body is a slice of the message, not a copy: decoding
 * 1 MiB takes as long as decoding 1 byte.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import type { Route } from '../../contract/route-table.ts'
import type { Codec, DecodedResponse } from '../codec.ts'
import { fallBack } from './fallback.ts'

const NONE: readonly never[] = Object.freeze([])
const EMPTY = new Uint8Array()

/**
 * Compiles the decoder of a route that returns a raw body. What is beside the body in the message, such as an entity tag,
 * is short and rare; the reference codec decodes it.
 * @returns undefined if the body is in a oneof, whose last member on the wire counts.
 */
export function compileRawResponseDecoder(
  { responseField }: Pick<Route, 'responseField'>,
  reference: Codec,
): Codec['decode'] | undefined {
  if (responseField === undefined) return message => withoutHeaders(readHttpBody(message))
  if (responseField.oneof !== undefined) return undefined
  return message => {
    const { content, rest } = splitMessage(message, responseField.number)
    const rawBody = readHttpBody(content)
    if (rest === undefined) return withoutHeaders(rawBody)
    const { cookies, revocations, etag } = reference.decode(rest)
    return { ...rawBody, cookies, revocations, etag }
  }
}

type RawBody = Pick<DecodedResponse, 'body' | 'contentType'>

function withoutHeaders({ body, contentType }: RawBody): DecodedResponse {
  return { body, contentType, cookies: NONE, revocations: NONE, etag: undefined }
}

/** Reads a google.api.HttpBody. Falls back for `extensions`, unknown fields, and text that is not UTF-8. */
function readHttpBody(message: Uint8Array): RawBody {
  let contentType = ''
  let body: Uint8Array = EMPTY
  readFields(message, (number, wireType, reader) => {
    if (wireType !== WireType.LengthDelimited) fallBack()
    const bytes = reader.bytes()
    if (number === 1) contentType = asciiText(bytes)
    else if (number === 2) body = bytes
    else fallBack()
  })
  return { body, contentType }
}

/** A media type is ASCII. Falls back for other text, which may be invalid UTF-8. */
function asciiText(bytes: Uint8Array): string {
  for (const byte of bytes) if (byte > 0x7f) fallBack()
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/**
 * Splits a message into the content of one field and the bytes of all others; undefined if there are none. Falls back if
 * the field occurs twice, because its occurrences are merged.
 */
function splitMessage(message: Uint8Array, field: number): { content: Uint8Array; rest: Uint8Array | undefined } {
  let content: Uint8Array | undefined
  const others: Uint8Array[] = []
  readFields(message, (number, wireType, reader, start) => {
    if (number === field) {
      if (wireType !== WireType.LengthDelimited || content !== undefined) fallBack()
      content = reader.bytes()
    } else {
      reader.skip(wireType, number)
      others.push(message.subarray(start, reader.pos))
    }
  })
  return { content: content ?? EMPTY, rest: others.length === 0 ? undefined : Buffer.concat(others) }
}

/** Reads the fields of a message. Falls back if it is damaged. @param onField must read or skip the value. */
function readFields(
  message: Uint8Array,
  onField: (number: number, wireType: WireType, reader: BinaryReader, start: number) => void,
): void {
  const reader = new BinaryReader(message)
  try {
    while (reader.pos < reader.len) {
      const start = reader.pos
      const [number, wireType] = reader.tag()
      onField(number, wireType, reader, start)
    }
  } catch {
    fallBack()
  }
}
