import { ConnectionError } from './errors.ts'
import { ErrorCode, FRAME_HEADER_LENGTH, MIN_MAX_FRAME_SIZE } from './protocol.ts'

/** `payload` from `start` to `end` is valid during the call only. */
export type FrameHandler = (
  type: number,
  flags: number,
  streamId: number,
  payload: Buffer,
  start: number,
  end: number,
) => void

/** We do not announce a larger one. */
const MAX_FRAME_SIZE = MIN_MAX_FRAME_SIZE

/** Cuts what a socket delivers into frames, RFC 9113 section 4.1. Only a frame that spans two reads is copied. */
export class FrameReader {
  readonly #onFrame: FrameHandler
  readonly #partial = Buffer.allocUnsafeSlow(FRAME_HEADER_LENGTH + MAX_FRAME_SIZE)
  #partialLength = 0

  constructor(onFrame: FrameHandler) {
    this.#onFrame = onFrame
  }

  /** @throws ConnectionError FRAME_SIZE_ERROR, or what the handler throws. */
  read(bytes: Buffer, length: number): void {
    let at = this.#partialLength === 0 ? 0 : this.#completePartial(bytes, length)
    while (length - at >= FRAME_HEADER_LENGTH) {
      const end = at + frameLength(bytes, at)
      if (end > length) break
      this.#deliver(bytes, at, end)
      at = end
    }
    if (at < length) this.#partialLength += bytes.copy(this.#partial, this.#partialLength, at, length)
  }

  /** @returns how many of the bytes it took. */
  #completePartial(bytes: Buffer, length: number): number {
    const partial = this.#partial
    let at = 0
    if (this.#partialLength < FRAME_HEADER_LENGTH) {
      at = bytes.copy(partial, this.#partialLength, 0, Math.min(length, FRAME_HEADER_LENGTH - this.#partialLength))
      this.#partialLength += at
      if (this.#partialLength < FRAME_HEADER_LENGTH) return at
    }
    const end = frameLength(partial, 0)
    const taken = bytes.copy(partial, this.#partialLength, at, Math.min(length, at + end - this.#partialLength))
    this.#partialLength += taken
    if (this.#partialLength === end) {
      this.#partialLength = 0
      this.#deliver(partial, 0, end)
    }
    return at + taken
  }

  #deliver(bytes: Buffer, at: number, end: number): void {
    const streamId = bytes.readUInt32BE(at + 5) & 0x7fff_ffff
    this.#onFrame(bytes[at + 3] as number, bytes[at + 4] as number, streamId, bytes, at + FRAME_HEADER_LENGTH, end)
  }
}

/** Of the frame with its header. */
function frameLength(bytes: Buffer, at: number): number {
  const payload = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
  if (payload > MAX_FRAME_SIZE) {
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `A frame of ${payload} bytes is larger than allowed`)
  }
  return FRAME_HEADER_LENGTH + payload
}
