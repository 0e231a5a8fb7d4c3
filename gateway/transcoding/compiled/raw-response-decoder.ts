/**
 * Compiles the decoder of a raw response (contract/http-body.ts). The body is a slice of the message, not a copy: decoding
 * 1 MiB takes as long as decoding 1 byte. `WireReader` would convert all of it to text.
 */
import type { FileRegistry } from '@bufbuild/protobuf'
import type { Route } from '../../contract/route-table.ts'
import type { Codec, DecodedResponse } from '../codec.ts'
import { fallBack } from './fallback.ts'
import { compileResponseDecoder } from './response-decoder.ts'
import { BIT32, BIT64, DELIMITED, VARINT } from './wire-reader.ts'

const NONE: readonly never[] = Object.freeze([])
const EMPTY = new Uint8Array()

/**
 * Compiles the decoder of a route that returns a raw body. The fields beside the body, such as an entity tag, are decoded
 * as a message of their own.
 * @returns undefined if their type cannot be compiled, or if the body is in a oneof, whose last member on the wire counts.
 */
export function compileRawResponseDecoder(route: Route, registry: FileRegistry): Codec['decode'] | undefined {
  const { responseField } = route
  if (responseField === undefined) return message => withoutHeaders(readHttpBody(message))
  if (responseField.oneof !== undefined) return undefined
  const decodeRest = compileResponseDecoder({ ...route, responseField: undefined }, registry)
  if (decodeRest === undefined) return undefined
  return message => {
    const { content, rest } = splitMessage(message, responseField.number)
    const rawBody = readHttpBody(content)
    if (rest === undefined) return withoutHeaders(rawBody)
    const { cookies, revocations, etag } = decodeRest(rest)
    return { ...rawBody, cookies, revocations, etag }
  }
}

type RawBody = Pick<DecodedResponse, 'body' | 'contentType'>

function withoutHeaders({ body, contentType }: RawBody): DecodedResponse {
  return { body, contentType, cookies: NONE, revocations: NONE, etag: undefined }
}

const CONTENT_TYPE_TAG = (1 << 3) | DELIMITED
const DATA_TAG = (2 << 3) | DELIMITED

/** Reads a google.api.HttpBody. Falls back for `extensions`, unknown fields, and a content type that is not ASCII. */
function readHttpBody(message: Uint8Array): RawBody {
  const cursor = new Cursor(message)
  let contentType = ''
  let body: Uint8Array = EMPTY
  while (cursor.position < message.length) {
    const tag = cursor.varint()
    if (tag === CONTENT_TYPE_TAG) contentType = asciiText(cursor.delimited())
    else if (tag === DATA_TAG) body = cursor.delimited()
    else fallBack()
  }
  return { body, contentType }
}

/** Falls back for other text, which may be invalid UTF-8. */
function asciiText(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte < 0x80 ? String.fromCharCode(byte) : fallBack()
  return text
}

/**
 * Splits a message into the content of one field and the bytes of all others; undefined if there are none. Falls back if
 * the field occurs twice, because its occurrences are merged.
 */
function splitMessage(message: Uint8Array, field: number): { content: Uint8Array; rest: Uint8Array | undefined } {
  const cursor = new Cursor(message)
  const contentTag = ((field << 3) | DELIMITED) >>> 0
  let content: Uint8Array | undefined
  const others: Uint8Array[] = []
  while (cursor.position < message.length) {
    const start = cursor.position
    const tag = cursor.varint()
    if (tag === contentTag && content === undefined) content = cursor.delimited()
    // The field with another wire type, or again.
    else if (tag >>> 3 === field) fallBack()
    else {
      cursor.skip(tag & 7)
      others.push(message.subarray(start, cursor.position))
    }
  }
  return { content: content ?? EMPTY, rest: others.length === 0 ? undefined : Buffer.concat(others) }
}

/** Reads values at `position`, which it moves. Falls back beyond the end of the message, and for groups. */
class Cursor {
  readonly #message: Uint8Array
  position = 0

  constructor(message: Uint8Array) {
    this.#message = message
  }

  /** Reads a tag or a length. Falls back if it has more than 32 bits. */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#message[this.position++] ?? fallBack()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value < 2 ** 32 ? value : fallBack()
    }
    return fallBack()
  }

  delimited(): Uint8Array {
    const length = this.varint()
    const start = this.position
    this.#advance(length)
    return this.#message.subarray(start, this.position)
  }

  skip(wireType: number): void {
    if (wireType === DELIMITED) this.delimited()
    else if (wireType === BIT64) this.#advance(8)
    else if (wireType === BIT32) this.#advance(4)
    else if (wireType !== VARINT) fallBack()
    else while (((this.#message[this.position++] ?? fallBack()) & 0x80) !== 0);
  }

  #advance(length: number): void {
    this.position += length
    if (this.position > this.#message.length) fallBack()
  }
}
