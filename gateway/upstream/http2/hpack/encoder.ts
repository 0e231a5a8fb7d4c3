/**
 * Encoding of header fields by RFC 7541, as literals that touch no dynamic table: a block is then the same bytes on any
 * connection at any time. Values are not Huffman-coded: a quarter of the bytes saved is not worth the time it takes.
 */

/** A table size update to 0, which begins the first block of a connection. */
export const SIZE_UPDATE_TO_ZERO = 0x20

/** RFC 7541 section 5.1. @returns where the next octet goes. */
export function writeInteger(into: Buffer, at: number, prefixBits: number, pattern: number, value: number): number {
  const mask = (1 << prefixBits) - 1
  if (value < mask) {
    into[at] = pattern | value
    return at + 1
  }
  into[at++] = pattern | mask
  let rest = value - mask
  while (rest >= 0x80) {
    into[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  into[at] = rest
  return at + 1
}

/** @param text latin1. @returns where the next octet goes. */
export function writeString(into: Buffer, at: number, text: string): number {
  const start = writeInteger(into, at, 7, 0, text.length)
  return start + into.write(text, start, 'latin1')
}

/** Octets that an integer takes at most beyond the text of a string. */
export const MAX_INTEGER_LENGTH = 6

/** A field whose name and value are both in the static table. */
export function indexed(index: number): Buffer {
  return Buffer.from([0x80 | index])
}

/** A literal field, whole. @param nameIndex of the static table, or the name. */
export function literal(name: string | number, value: string, neverIndexed = false): Buffer {
  const head = literalName(name, neverIndexed)
  const field = Buffer.alloc(head.length + MAX_INTEGER_LENGTH + value.length)
  head.copy(field)
  return field.subarray(0, writeString(field, head.length, value))
}

/** The beginning of a literal field, up to its value. */
export function literalName(name: string | number, neverIndexed = false): Buffer {
  const pattern = neverIndexed ? 0x10 : 0x00
  const text = typeof name === 'string' ? name : ''
  const field = Buffer.alloc(2 * MAX_INTEGER_LENGTH + text.length)
  const end = writeInteger(field, 0, 4, pattern, typeof name === 'number' ? name : 0)
  return field.subarray(0, typeof name === 'string' ? writeString(field, end, text) : end)
}
