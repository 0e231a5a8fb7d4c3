import { Flag, FRAME_HEADER_LENGTH, FrameType, MIN_MAX_FRAME_SIZE, PREFACE } from './protocol.ts'

/** Hands bytes to the socket; `done` is called when the buffer may be used again. */
export type WriteBytes = (bytes: Buffer, done: () => void) => void

const CHUNK_LENGTH = 64 * 1024
const MAX_SPARE_CHUNKS = 2
/** The gRPC message header: one flag and four octets of length. */
export const MESSAGE_HEADER_LENGTH = 5

/**
 * The frames on their way out. All that is written in one turn of the event loop leaves in one write to the socket: the
 * system call costs more than the frames of a call.
 */
export class Outbox {
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

  /** Bytes that the socket has not taken yet. */
  get backlog(): number {
    return this.#unsent + this.#used
  }

  preface(): void {
    const at = this.#room(PREFACE.length)
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

  ping(flags: number, opaque: Buffer, start: number): void {
    const at = this.#header(8, FrameType.PING, flags, 0)
    opaque.copy(this.#chunk, at, start, start + 8)
  }

  goaway(http2Code: number, reason: string): void {
    const text = Buffer.from(reason).subarray(0, 1024)
    let at = this.#header(8 + text.length, FrameType.GOAWAY, 0, 0)
    // The last stream of the peer that we processed: a server opens none.
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

  /** A whole header block, in as many frames as it takes. */
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

  /** Octets `from` to `to` of a gRPC message with its header, 16,384 at most. */
  message(streamId: number, message: Uint8Array, from: number, to: number, endStream: boolean): void {
    let at = this.#header(to - from, FrameType.DATA, endStream ? Flag.END_STREAM : 0, streamId)
    if (from === 0 && to >= MESSAGE_HEADER_LENGTH) {
      this.#chunk[at] = 0
      this.#chunk.writeUInt32BE(message.length, at + 1)
      this.#chunk.set(to === MESSAGE_HEADER_LENGTH + message.length ? message : message.subarray(0, to - 5), at + 5)
      return
    }
    // A window of less than the message's header cuts it.
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

  /** Forgets what has not been written; these are whole frames. */
  discard(): void {
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
    this.#used = 0
  }

  /** The frame may go into a new chunk: `#chunk` is the one to write to only after this. */
  #header(length: number, type: number, flags: number, streamId: number): number {
    const at = this.#room(FRAME_HEADER_LENGTH + length)
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

  #room(length: number): number {
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

/** What a DATA frame carries at most here; a peer may allow more, but this shares the connection better. */
export const MAX_DATA_LENGTH = MIN_MAX_FRAME_SIZE
