import { Flag, FRAME_HEADER_LENGTH, FrameType, MIN_MAX_FRAME_SIZE, PREFACE } from './protocol.ts'

/** Writes bytes to the socket. `done` must be called once the buffer may be reused. */
export type WriteBytes = (bytes: Buffer, done: () => void) => void

/** Length of the prefix of a gRPC message: compressed flag (1 octet) and message length (4 octets). */
export const MESSAGE_HEADER_LENGTH = 5

/** Maximum payload of a DATA frame that is sent. A peer may allow more; short frames share the connection more evenly. */
export const MAX_DATA_LENGTH = MIN_MAX_FRAME_SIZE

const CHUNK_LENGTH = 64 * 1024
const MAX_SPARE_CHUNKS = 2

/**
 * Encodes frames into chunks of 64 KiB. Everything written in one turn of the event loop leaves in one write to the
 * socket, because the system call costs more than the frames of a call.
 */
export class FrameWriter {
  readonly #write: WriteBytes
  readonly #flush = () => this.flush()
  #chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_LENGTH)
  #used = 0
  #spare: Buffer[] = []
  #unsent = 0
  #scheduled: NodeJS.Immediate | undefined

  constructor(write: WriteBytes) {
    this.#write = write
  }

  /** Bytes that the socket has not accepted yet. */
  get backlog(): number {
    return this.#unsent + this.#used
  }

  preface(): void {
    const at = this.#reserve(PREFACE.length)
    PREFACE.copy(this.#chunk, at)
  }

  settings(values: readonly (readonly [setting: number, value: number])[]): void {
    let at = this.#header(values.length * 6, FrameType.SETTINGS, 0, 0)
    for (const [setting, value] of values) {
      at = this.#chunk.writeUInt16BE(setting, at)
      at = this.#chunk.writeUInt32BE(value, at)
    }
  }

  settingsAck(): void {
    this.#header(0, FrameType.SETTINGS, Flag.ACK, 0)
  }

  /** @param opaque its 8 octets from `start` are the payload. */
  ping(flags: number, opaque: Buffer, start: number): void {
    const at = this.#header(8, FrameType.PING, flags, 0)
    opaque.copy(this.#chunk, at, start, start + 8)
  }

  /** @param debugData truncated to 1,024 octets. */
  goaway(http2Code: number, debugData: string): void {
    const text = Buffer.from(debugData).subarray(0, 1024)
    let at = this.#header(8 + text.length, FrameType.GOAWAY, 0, 0)
    // Last stream id: 0, because servers open no streams.
    at = this.#chunk.writeUInt32BE(0, at)
    at = this.#chunk.writeUInt32BE(http2Code, at)
    text.copy(this.#chunk, at)
  }

  resetStream(streamId: number, http2Code: number): void {
    const at = this.#header(4, FrameType.RST_STREAM, 0, streamId)
    this.#chunk.writeUInt32BE(http2Code, at)
  }

  windowUpdate(streamId: number, increment: number): void {
    const at = this.#header(4, FrameType.WINDOW_UPDATE, 0, streamId)
    this.#chunk.writeUInt32BE(increment, at)
  }

  /** Writes a header block as HEADERS and as many CONTINUATION frames as `maxFrameSize` requires. */
  headers(streamId: number, block: Buffer, start: number, end: number, maxFrameSize: number): void {
    const limit = Math.min(maxFrameSize, CHUNK_LENGTH - FRAME_HEADER_LENGTH)
    let type: number = FrameType.HEADERS
    for (let from = start; ; from += limit) {
      const to = Math.min(end, from + limit)
      const at = this.#header(to - from, type, to === end ? Flag.END_HEADERS : 0, streamId)
      block.copy(this.#chunk, at, from, to)
      if (to === end) return
      type = FrameType.CONTINUATION
    }
  }

  /**
   * Writes octets `from` to `to` of a length-prefixed gRPC message as one DATA frame. Offset 0 is the first octet of the
   * prefix; at most 16,384 octets.
   */
  message(streamId: number, message: Uint8Array, from: number, to: number, endStream: boolean): void {
    let at = this.#header(to - from, FrameType.DATA, endStream ? Flag.END_STREAM : 0, streamId)
    if (from === 0 && to >= MESSAGE_HEADER_LENGTH) {
      this.#chunk[at] = 0
      this.#chunk.writeUInt32BE(message.length, at + 1)
      this.#chunk.set(to === MESSAGE_HEADER_LENGTH + message.length ? message : message.subarray(0, to - 5), at + 5)
      return
    }
    // A window below 5 octets splits the prefix.
    for (; from < to && from < MESSAGE_HEADER_LENGTH; from++) {
      this.#chunk[at++] = from === 0 ? 0 : (message.length >>> (8 * (4 - from))) & 0xff
    }
    this.#chunk.set(message.subarray(from - MESSAGE_HEADER_LENGTH, to - MESSAGE_HEADER_LENGTH), at)
  }

  flush(): void {
    if (this.#scheduled !== undefined) {
      clearImmediate(this.#scheduled)
      this.#scheduled = undefined
    }
    if (this.#used > 0) this.#send()
  }

  /** Drops the frames that were not written to the socket. These are always whole frames. */
  discard(): void {
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
    this.#used = 0
  }

  /** Writes a frame header. Replaces `#chunk` if the frame does not fit, so read `#chunk` only afterwards. */
  #header(length: number, type: number, flags: number, streamId: number): number {
    const at = this.#reserve(FRAME_HEADER_LENGTH + length)
    const chunk = this.#chunk
    chunk[at] = length >>> 16
    chunk[at + 1] = length >>> 8
    chunk[at + 2] = length
    chunk[at + 3] = type
    chunk[at + 4] = flags
    chunk[at + 5] = streamId >>> 24
    chunk[at + 6] = streamId >>> 16
    chunk[at + 7] = streamId >>> 8
    chunk[at + 8] = streamId
    return at + FRAME_HEADER_LENGTH
  }

  #reserve(length: number): number {
    if (this.#used + length > CHUNK_LENGTH) this.#send()
    this.#scheduled ??= setImmediate(this.#flush)
    const at = this.#used
    this.#used += length
    return at
  }

  #send(): void {
    const chunk = this.#chunk
    const length = this.#used
    this.#chunk = this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_LENGTH)
    this.#used = 0
    this.#unsent += length
    this.#write(chunk.subarray(0, length), () => {
      this.#unsent -= length
      if (this.#spare.length < MAX_SPARE_CHUNKS) this.#spare.push(chunk)
    })
  }
}
