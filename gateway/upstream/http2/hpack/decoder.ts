/**
 * HPACK decoding (RFC 7541). The connection announces a dynamic table of size 0 in SETTINGS_HEADER_TABLE_SIZE, so that most
 * blocks do not depend on the ones before. The table is kept for peers that ignore the setting, as grpc-js does.
 */
import { ConnectionError } from '../errors.ts'
import { ErrorCode } from '../protocol.ts'
import { type DynamicTable, type HeaderField, sizeOfField } from './dynamic-table.ts'
import { decodeHuffman } from './huffman.ts'
import { STATIC_TABLE } from './static-table.ts'

export interface DecodedBlock {
  readonly fields: readonly HeaderField[]
  /** Whether the list exceeds its maximum size. Then `fields` holds the fields that fit. */
  readonly tooLarge: boolean
  /** Whether the block has size updates or fields of the dynamic table: the same bytes may then mean something else. */
  readonly dependsOnTable: boolean
  /** Whether the block inserts fields into the dynamic table. */
  readonly inserts: boolean
}

/**
 * Decodes a block and updates the table.
 * @param maxListSize as RFC 9113 section 6.5.2 counts it. The rest of a larger block is decoded for the table only.
 * @throws ConnectionError COMPRESSION_ERROR.
 */
export function decodeHeaderBlock(
  block: Buffer,
  start: number,
  end: number,
  maxListSize: number,
  table: DynamicTable,
): DecodedBlock {
  const cursor: Cursor = { block, at: start, end, table, dependsOnTable: false, inserts: false }
  while (cursor.at < end && isSizeUpdate(block[cursor.at] as number)) {
    table.resize(readInteger(cursor, 5))
    cursor.dependsOnTable = true
  }
  const fields: HeaderField[] = []
  let size = 0
  while (cursor.at < end) {
    const field = readField(cursor)
    size += sizeOfField(field)
    if (size <= maxListSize) fields.push(field)
  }
  return { fields, tooLarge: size > maxListSize, dependsOnTable: cursor.dependsOnTable, inserts: cursor.inserts }
}

/** Whether the octet starts a dynamic table size update, RFC 7541 section 6.3. */
function isSizeUpdate(byte: number): boolean {
  return (byte & 0xe0) === 0x20
}

interface Cursor {
  readonly block: Buffer
  at: number
  readonly end: number
  readonly table: DynamicTable
  dependsOnTable: boolean
  inserts: boolean
}

//   1xxxxxxx  indexed                          6.1
//   01xxxxxx  literal, incremental indexing    6.2.1
//   001xxxxx  table size update                6.3   (at the start of a block only)
//   0001xxxx  literal, never indexed           6.2.3
//   0000xxxx  literal, without indexing        6.2.2
function readField(cursor: Cursor): HeaderField {
  const first = cursor.block[cursor.at] as number
  if (first & 0x80) return entryAt(cursor, readInteger(cursor, 7))
  if (isSizeUpdate(first)) throw compressionError('Dynamic table size update after a field')
  const isInserted = (first & 0x40) !== 0
  const index = readInteger(cursor, isInserted ? 6 : 4)
  const name = index === 0 ? readString(cursor) : entryAt(cursor, index)[0]
  const field: HeaderField = [name, readString(cursor)]
  if (isInserted) {
    cursor.table.insert(field)
    cursor.inserts = true
  }
  return field
}

/** The static table is followed by the dynamic table, RFC 7541 section 2.3.3. */
function entryAt(cursor: Cursor, index: number): HeaderField {
  const entry = STATIC_TABLE[index - 1]
  if (entry !== undefined) return entry
  cursor.dependsOnTable = true
  const inserted = cursor.table.at(index - 1 - STATIC_TABLE.length)
  if (inserted === undefined) throw compressionError(`Index ${index} is not in the tables`)
  return inserted
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
