import { ConnectionError } from './errors.ts'
import { ErrorCode } from './protocol.ts'

/**
 * A header block in parts: HEADERS without END_HEADERS and the CONTINUATION frames after it, RFC 9113 section 6.10.
 * Bounded in octets and in frames, as empty ones cost too.
 */
export class HeaderAssembly {
  readonly streamId: number
  readonly endStream: boolean
  readonly #maxLength: number
  #parts: Buffer[] = []
  #length = 0

  constructor(streamId: number, endStream: boolean, maxLength: number) {
    this.streamId = streamId
    this.endStream = endStream
    this.#maxLength = maxLength
  }

  /** @throws ConnectionError ENHANCE_YOUR_CALM for more than a block may have. */
  add(payload: Buffer, start: number, end: number): void {
    this.#length += end - start
    if (this.#length > this.#maxLength || this.#parts.length >= MAX_PARTS) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'A header block is too large')
    }
    this.#parts.push(Buffer.from(payload.subarray(start, end)))
  }

  block(): Buffer {
    return Buffer.concat(this.#parts, this.#length)
  }
}

const MAX_PARTS = 64
