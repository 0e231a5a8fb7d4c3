/**
 * HPACK decoding (RFC 7541) with a dynamic table of size 0, as the connection announces in SETTINGS_HEADER_TABLE_SIZE.
 * Each block is decoded without state from the ones before. A reference to the dynamic table is a COMPRESSION_ERROR.
 */
import { ConnectionError } from '../errors.ts'
import { ErrorCode } from '../protocol.ts'
import { decodeHuffman } from './huffman.ts'
import { STATIC_TABLE } from './static-table.ts'

/** Octets are decoded as latin1. */
export type HeaderField = readonly [name: string, value: string]

/** Octets that each field adds to the size of a header list, RFC 9113 section 6.5.2. */
const FIELD_OVERHEAD = 32

export interface DecodedBlock {
  readonly fields: readonly HeaderField[]
  /** Whether the list exceeds its maximum size. Then `fields` holds the fields that fit. */
  readonly tooLarge: boolean
}

/** @param maxListSize as RFC 9113 section 6.5.2 counts it. @throws ConnectionError COMPRESSION_ERROR. */
export function decodeHeaderBlock(block: Buffer, start: number, end: number, maxListSize: number): DecodedBlock {
  const cursor: Cursor = { block, at: start, end }
  while (cursor.at < end && isSizeUpdate(block[cursor.at] as number)) {
    if (readInteger(cursor, 5) !== 0) throw compressionError('Dynamic table size update above 0')
  }
  const fields: HeaderField[] = []
  let size = 0
  while (cursor.at < end) {
    const field = readField(cursor)
    size += field[0].length + field[1].length + FIELD_OVERHEAD
    if (size > maxListSize) return { fields, tooLarge: true }
    fields.push(field)
  }
  return { fields, tooLarge: false }
}

/** Whether the octet starts a dynamic table size update, RFC 7541 section 6.3. */
function isSizeUpdate(byte: number): boolean {
  return (byte & 0xe0) === 0x20
}

interface Cursor {
  readonly block: Buffer
  at: number
  readonly end: number
}

//   1xxxxxxx  indexed                          6.1
//   01xxxxxx  literal, incremental indexing    6.2.1 (a table of size 0 stores nothing)
//   001xxxxx  table size update                6.3   (at the start of a block only)
//   0001xxxx  literal, never indexed           6.2.3
//   0000xxxx  literal, without indexing        6.2.2
function readField(cursor: Cursor): HeaderField {
  const first = cursor.block[cursor.at] as number
  if (first & 0x80) return entryAt(readInteger(cursor, 7))
  if (isSizeUpdate(first)) throw compressionError('Dynamic table size update after a field')
  const index = readInteger(cursor, first & 0x40 ? 6 : 4)
  const name = index === 0 ? readString(cursor) : entryAt(index)[0]
  return [name, readString(cursor)]
}

function entryAt(index: number): HeaderField {
  const entry = STATIC_TABLE[index - 1]
  if (entry === undefined) throw compressionError(`Index ${index} is not in the static table`)
  return entry
}

/** RFC 7541 section 5.1. Accepts at most four octets after the prefix, which is enough for any valid length or index. */
function readInteger(cursor: Cursor, prefixBits: number): number {
  const { block, end } = cursor
  if (cursor.at >= end) throw compressionError('Truncated header block')
  const mask = (1 << prefixBits) - 1
  let value = (block[cursor.at++] as number) & mask
  if (value < mask) return value
  for (let shift = 0; shift < 28; shift += 7) {
    if (cursor.at >= end) throw compressionError('Truncated header block')
    const byte = block[cursor.at++] as number
    value += (byte & 0x7f) << shift
    if (byte < 0x80) return value
  }
  throw compressionError('Integer in a header block is too large')
}

function readString(cursor: Cursor): string {
  const huffman = ((cursor.block[cursor.at] as number) & 0x80) !== 0
  const length = readInteger(cursor, 7)
  const start = cursor.at
  cursor.at += length
  if (cursor.at > cursor.end) throw compressionError('Truncated header block')
  return huffman ? decodeHuffman(cursor.block, start, cursor.at) : cursor.block.toString('latin1', start, cursor.at)
}

function compressionError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.COMPRESSION_ERROR, message)
}
