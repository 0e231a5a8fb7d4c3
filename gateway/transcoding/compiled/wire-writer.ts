/** Writes the protobuf wire format, into a buffer that is used again for message after message. */
import { fallBack } from './fallback.ts'

// Grown by a large message, it is given back after it.
const USUAL_SIZE = 16 * 1024

// Shorter text is copied faster by a loop than by a call out of the engine.
const SHORT_TEXT = 40

export class WireWriter {
  #buffer = Buffer.allocUnsafeSlow(USUAL_SIZE)
  #position = 0

  /** Forgets what an attempt left. */
  reset(): void {
    this.#position = 0
  }

  /** What has been written, as a copy. */
  take(): Buffer {
    const message = Buffer.from(this.#buffer.subarray(0, this.#position))
    this.#position = 0
    if (this.#buffer.length > USUAL_SIZE) this.#buffer = Buffer.allocUnsafeSlow(USUAL_SIZE)
    return message
  }

  uint32(value: number): void {
    const buffer = this.#room(5)
    let rest = value
    while (rest > 0x7f) {
      buffer[this.#position++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    buffer[this.#position++] = rest
  }

  /** A negative number takes ten bytes, as if it had 64 bits. */
  int32(value: number): void {
    if (value >= 0) this.uint32(value)
    else this.varint64(BigInt(value))
  }

  varint64(value: bigint): void {
    const buffer = this.#room(10)
    let rest = BigInt.asUintN(64, value)
    while (rest > 0x7fn) {
      buffer[this.#position++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    buffer[this.#position++] = Number(rest)
  }

  fixed32(value: number): void {
    this.#room(4).writeInt32LE(value | 0, this.#position)
    this.#position += 4
  }

  fixed64(value: bigint): void {
    this.#room(8).writeBigInt64LE(BigInt.asIntN(64, value), this.#position)
    this.#position += 8
  }

  float(value: number): void {
    this.#room(4).writeFloatLE(value, this.#position)
    this.#position += 4
  }

  double(value: number): void {
    this.#room(8).writeDoubleLE(value, this.#position)
    this.#position += 8
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length)
    this.#room(value.length).set(value, this.#position)
    this.#position += value.length
  }

  string(text: string): void {
    if (text.length <= SHORT_TEXT && this.#shortAscii(text)) return
    const start = this.open()
    // A UTF-16 code unit takes three bytes at most.
    this.#position += this.#room(text.length * 3).write(text, this.#position)
    this.close(start)
  }

  #shortAscii(text: string): boolean {
    const buffer = this.#room(text.length + 1)
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

  /** Begins what is delimited by its length. @returns what `close` wants. */
  open(): number {
    this.#room(1)
    return this.#position++
  }

  close(start: number): void {
    const length = this.#position - start - 1
    // A byte is kept for the length, which is enough for most.
    const more = sizeOf(length) - 1
    if (more > 0) this.#room(more).copyWithin(start + 1 + more, start + 1, this.#position)
    this.#position = start
    this.uint32(length)
    this.#position += length
  }

  #room(size: number): Buffer {
    const needed = this.#position + size
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
      this.#buffer.copy(larger, 0, 0, this.#position)
      this.#buffer = larger
    }
    return this.#buffer
  }
}

function sizeOf(length: number): number {
  if (length < 2 ** 7) return 1
  if (length < 2 ** 14) return 2
  if (length < 2 ** 21) return 3
  return length < 2 ** 28 ? 4 : fallBack()
}
