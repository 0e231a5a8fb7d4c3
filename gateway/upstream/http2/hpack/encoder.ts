/**
 * HPACK encoding (RFC 7541) without a dynamic table: fields are literals or static table entries, so a block has the same
 * bytes on every connection and can be cached. Values are not Huffman-coded, because saving a quarter of the bytes costs
 * more CPU than sending them.
 */

/** Dynamic table size update to 0, section 6.3. */
export const SIZE_UPDATE_TO_ZERO = 0x20

/** Writes an integer, section 5.1. @param pattern the bits above the prefix. @returns the offset of the next octet. */
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

/** Writes a string literal, section 5.2. @param text latin1. @returns the offset of the next octet. */
export function writeString(into: Buffer, at: number, text: string): number {
  const start = writeInteger(into, at, 7, 0, text.length)
  return start + into.write(text, start, 'latin1')
}

/** Maximum octets of an encoded integer, such as the length of a string. */
export const MAX_INTEGER_LENGTH = 6

/** An indexed field, section 6.1: name and value of a static table entry. */
export function indexed(index: number): Buffer {
  return Buffer.from([0x80 | index])
}

/** A literal field, sections 6.2.2 and 6.2.3. @param name index of the static table, or the name. */
export function literal(name: string | number, value: string, neverIndexed = false): Buffer {
  const head = literalName(name, neverIndexed)
  const field = Buffer.alloc(head.length + MAX_INTEGER_LENGTH + value.length)
  head.copy(field)
  return field.subarray(0, writeString(field, head.length, value))
}

/** Encodes a literal field up to its value. */
export function literalName(name: string | number, neverIndexed = false): Buffer {
  const pattern = neverIndexed ? 0x10 : 0x00
  const text = typeof name === 'string' ? name : ''
  const field = Buffer.alloc(2 * MAX_INTEGER_LENGTH + text.length)
  const end = writeInteger(field, 0, 4, pattern, typeof name === 'number' ? name : 0)
  return field.subarray(0, typeof name === 'string' ? writeString(field, end, text) : end)
}
