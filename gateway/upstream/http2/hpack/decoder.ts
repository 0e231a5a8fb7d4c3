/**
 * Decoding of header blocks by RFC 7541, for a peer that was told to keep a dynamic table of size 0: a block then
 * carries no state, and nothing outlives it. A reference to the dynamic table shows a peer that did not listen.
 */
import { ConnectionError } from '../errors.ts'
import { ErrorCode } from '../protocol.ts'
import { decodeHuffman } from './huffman.ts'
import { STATIC_TABLE } from './static-table.ts'

/** Octets as latin1 text. */
export type HeaderField = readonly [name: string, value: string]

/** RFC 9113 section 6.5.2: what a field counts beyond its octets. */
const FIELD_OVERHEAD = 32

export interface DecodedBlock {
  readonly fields: readonly HeaderField[]
  /** The list went over its limit; `fields` has what came before. */
  readonly tooLarge: boolean
}

/**
 * @param maxListSize octets of names and values, with 32 for each field.
 * @throws ConnectionError COMPRESSION_ERROR
 */
export function decodeHeaderBlock(block: Buffer, start: number, end: number, maxListSize: number): DecodedBlock {
  const cursor: Cursor = { block, at: start, end }
  while (cursor.at < end && isSizeUpdate(block[cursor.at] as number)) {
    if (readInteger(cursor, 5) !== 0) throw compressionError('A header table larger than the allowed 0 was announced')
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

/** Whether a block begins as one must that follows a reduction of the table, RFC 9113 section 4.3.1. */
export function isSizeUpdate(byte: number): boolean {
  return (byte & 0xe0) === 0x20
}

interface Cursor {
  readonly block: Buffer
  at: number
  readonly end: number
}

//   1xxxxxxx  indexed                          6.1
//   01xxxxxx  literal, incremental indexing    6.2.1 (with a table of size 0 it is added to nothing)
//   001xxxxx  table size update                6.3   (allowed at the beginning only)
//   0001xxxx  literal, never indexed           6.2.3
//   0000xxxx  literal, without indexing        6.2.2
function readField(cursor: Cursor): HeaderField {
  const first = cursor.block[cursor.at] as number
  if (first & 0x80) return entryAt(readInteger(cursor, 7))
  if (isSizeUpdate(first)) throw compressionError('A header table size update stands within a block')
  const index = readInteger(cursor, first & 0x40 ? 6 : 4)
  const name = index === 0 ? readString(cursor) : entryAt(index)[0]
  return [name, readString(cursor)]
}

function entryAt(index: number): HeaderField {
  const entry = STATIC_TABLE[index - 1]
  if (entry === undefined) throw compressionError(`Header index ${index} is not in the static table`)
  return entry
}

/** RFC 7541 section 5.1. No length or index that makes sense takes more than four octets after the prefix. */
function readInteger(cursor: Cursor, prefixBits: number): number {
  const { block, end } = cursor
  if (cursor.at >= end) throw compressionError('A header block is cut short')
  const mask = (1 << prefixBits) - 1
  let value = (block[cursor.at++] as number) & mask
  if (value < mask) return value
  for (let shift = 0; shift < 28; shift += 7) {
    if (cursor.at >= end) throw compressionError('A header block is cut short')
    const byte = block[cursor.at++] as number
    value += (byte & 0x7f) << shift
    if (byte < 0x80) return value
  }
  throw compressionError('An integer in a header block is too large')
}

function readString(cursor: Cursor): string {
  const huffman = ((cursor.block[cursor.at] as number) & 0x80) !== 0
  const length = readInteger(cursor, 7)
  const start = cursor.at
  cursor.at += length
  if (cursor.at > cursor.end) throw compressionError('A header block is cut short')
  return huffman ? decodeHuffman(cursor.block, start, cursor.at) : cursor.block.toString('latin1', start, cursor.at)
}

function compressionError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.COMPRESSION_ERROR, message)
}
