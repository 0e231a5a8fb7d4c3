import { ConnectionError } from './errors.ts'
import { ErrorCode, FRAME_HEADER_LENGTH, MIN_MAX_FRAME_SIZE } from './protocol.ts'

/** Called for each frame. `payload` from `start` to `end` is valid during the call only. */
export type OnFrame = (
  type: number,
  flags: number,
  streamId: number,
  payload: Buffer,
  start: number,
  end: number,
) => void

/** The connection does not send SETTINGS_MAX_FRAME_SIZE, so the initial value applies. */
const MAX_FRAME_SIZE = MIN_MAX_FRAME_SIZE

/** Splits the bytes of a socket into frames (RFC 9113 section 4.1). Copies only frames that span two reads. */
export class FrameReader {
  readonly #onFrame: OnFrame
  readonly #partial = Buffer.allocUnsafeSlow(FRAME_HEADER_LENGTH + MAX_FRAME_SIZE)
  #partialLength = 0

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame
  }

  /** The bytes of an incomplete frame. */
  get partial(): Buffer {
    return this.#partial.subarray(0, this.#partialLength)
  }

  /**
   * Reads the first `length` bytes of `bytes`.
   * @throws ConnectionError FRAME_SIZE_ERROR for a frame over 16,384 bytes, and whatever `onFrame` throws.
   */
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

  /** @returns the number of bytes consumed. */
  #completePartial(bytes: Buffer, length: number): number {
    const partial = this.#partial
    let at = 0
    if (this.#partialLength < FRAME_HEADER_LENGTH) {
      at = bytes.copy(partial, this.#partialLength, 0, Math.min(length, FRAME_HEADER_LENGTH - this.#partialLength))
      this.#partialLength += at
      if (this.#partialLength < FRAME_HEADER_LENGTH) return at
    }
    const end = frameLength(partial, 0)
    const copied = bytes.copy(partial, this.#partialLength, at, Math.min(length, at + end - this.#partialLength))
    this.#partialLength += copied
    if (this.#partialLength === end) {
      this.#partialLength = 0
      this.#deliver(partial, 0, end)
    }
    return at + copied
  }

  #deliver(bytes: Buffer, at: number, end: number): void {
    const streamId = bytes.readUInt32BE(at + 5) & 0x7fff_ffff
    this.#onFrame(bytes[at + 3] as number, bytes[at + 4] as number, streamId, bytes, at + FRAME_HEADER_LENGTH, end)
  }
}

/** Length of the frame that starts at `at`, including its header. */
function frameLength(bytes: Buffer, at: number): number {
  const payload = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
  if (payload > MAX_FRAME_SIZE) {
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `Frame of ${payload} bytes exceeds SETTINGS_MAX_FRAME_SIZE`)
  }
  return FRAME_HEADER_LENGTH + payload
}
