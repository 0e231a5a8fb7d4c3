/** Writes the protobuf wire format (protobuf.dev, "Encoding") into a buffer that is reused for all messages. */
import { fallBack } from './fallback.ts'

// A buffer that grew for a larger message is replaced after that message.
const INITIAL_SIZE = 16 * 1024

// Space for the lengths of the messages that contain a long value, so that closing them does not grow the buffer again.
const MORE_LENGTHS = 64

// Up to this length a loop copies ASCII faster than Buffer.write, which is a native call.
const MAX_SHORT_TEXT = 40

/** Writes one message at a time: `reset`, the writes, then `take`. */
export class WireWriter {
  #buffer = Buffer.allocUnsafeSlow(INITIAL_SIZE)
  #position = 0

  /** Discards the bytes of an attempt that fell back. */
  reset(): void {
    this.#position = 0
  }

  /** Returns the written bytes and resets the writer. They are a copy, unless the buffer grew for them. */
  take(): Buffer {
    const message = this.#buffer.subarray(0, this.#position)
    this.#position = 0
    if (this.#buffer.length === INITIAL_SIZE) return Buffer.from(message)
    this.#buffer = Buffer.allocUnsafeSlow(INITIAL_SIZE)
    return message
  }

  /** Number of bytes written so far. */
  get length(): number {
    return this.#position
  }

  /** Discards what was written after `length` had the value. */
  truncate(length: number): void {
    this.#position = length
  }

  uint32(value: number): void {
    const buffer = this.#reserve(5)
    let rest = value
    while (rest > 0x7f) {
      buffer[this.#position++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    buffer[this.#position++] = rest
  }

  /** Writes a varint of a signed 32-bit integer. Negative numbers are sign-extended to 64 bits and take ten bytes. */
  int32(value: number): void {
    if (value >= 0) this.uint32(value)
    else this.varint64(BigInt(value))
  }

  /** Writes a varint of the low 64 bits. */
  varint64(value: bigint): void {
    const buffer = this.#reserve(10)
    let rest = BigInt.asUintN(64, value)
    while (rest > 0x7fn) {
      buffer[this.#position++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    buffer[this.#position++] = Number(rest)
  }

  fixed32(value: number): void {
    this.#reserve(4).writeInt32LE(value | 0, this.#position)
    this.#position += 4
  }

  fixed64(value: bigint): void {
    this.#reserve(8).writeBigInt64LE(BigInt.asIntN(64, value), this.#position)
    this.#position += 8
  }

  float(value: number): void {
    this.#reserve(4).writeFloatLE(value, this.#position)
    this.#position += 4
  }

  double(value: number): void {
    this.#reserve(8).writeDoubleLE(value, this.#position)
    this.#position += 8
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length)
    this.#reserve(value.length).set(value, this.#position)
    this.#position += value.length
  }

  /** Writes length and UTF-8. */
  string(text: string): void {
    if (text.length <= MAX_SHORT_TEXT && this.#shortAscii(text)) return
    const start = this.open()
    // A UTF-16 code unit takes at most three bytes of UTF-8.
    this.#position += this.#reserve(text.length * 3).write(text, this.#position)
    this.close(start)
  }

  #shortAscii(text: string): boolean {
    const buffer = this.#reserve(text.length + 1)
    const start = this.#position
    for (let index = 0; index < text.length; index++) {
      const char = text.charCodeAt(index)
      if (char > 0x7f) return false
      buffer[start + 1 + index] = char
    }
    buffer[start] = text.length
    this.#position = start + 1 + text.length
    return true
  }

  /** Starts a length-delimited value. @returns the argument for `close`. */
  open(): number {
    this.#reserve(1)
    return this.#position++
  }

  /** Ends a length-delimited value and inserts its length. @param start the result of `open`. */
  close(start: number): void {
    const length = this.#position - start - 1
    // `open` reserves one byte for the length. Longer values are moved.
    const more = varintSize(length) - 1
    if (more > 0) this.#reserve(more).copyWithin(start + 1 + more, start + 1, this.#position)
    this.#position = start
    this.uint32(length)
    this.#position += length
  }

  /** Ensures that `size` bytes can be written at the position. @returns the buffer. */
  #reserve(size: number): Buffer {
    const needed = this.#position + size
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed + MORE_LENGTHS, this.#buffer.length * 2))
      this.#buffer.copy(larger, 0, 0, this.#position)
      this.#buffer = larger
    }
    return this.#buffer
  }
}

function varintSize(length: number): number {
  if (length < 2 ** 7) return 1
  if (length < 2 ** 14) return 2
  if (length < 2 ** 21) return 3
  return length < 2 ** 28 ? 4 : fallBack()
}
