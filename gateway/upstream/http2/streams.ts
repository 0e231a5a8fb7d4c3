import { ConnectionError, protocolError } from './errors.ts'
import { ErrorCode, MAX_STREAM_ID } from './protocol.ts'
import type { Stream } from './stream.ts'
import { StreamTable } from './stream-table.ts'

/** The streams of a connection: allocates their ids and decides which frames of closed streams are legal. */
export class Streams {
  readonly #open = new StreamTable<Stream>()
  readonly #reset = new ResetStreams()
  #nextId: number

  constructor(firstId: number) {
    this.#nextId = firstId
  }

  get size(): number {
    return this.#open.size
  }

  get lastId(): number {
    return this.#nextId - 2
  }

  /** Whether the connection has no stream ids left, RFC 9113 section 5.1.1. */
  get idsExhausted(): boolean {
    return this.#nextId > MAX_STREAM_ID
  }

  allocateId(): number {
    const id = this.#nextId
    this.#nextId += 2
    return id
  }

  add(stream: Stream): void {
    this.#open.add(stream)
  }

  isOpen(stream: Stream): boolean {
    return this.#open.get(stream.id) === stream
  }

  /** The open streams, as a copy. */
  list(): Stream[] {
    return this.#open.list()
  }

  /** Returns undefined for a closed stream. @throws ConnectionError PROTOCOL_ERROR for an idle stream. */
  find(id: number): Stream | undefined {
    const stream = this.#open.get(id)
    if (stream === undefined && (id % 2 === 0 || id >= this.#nextId)) {
      throw protocolError(`Frame on idle stream ${id}`)
    }
    return stream
  }

  /**
   * For HEADERS and DATA, which are illegal after the peer has closed the stream. Returns undefined for a stream that
   * this side has reset. @throws ConnectionError as `find`, or STREAM_CLOSED.
   */
  findForResponse(id: number): Stream | undefined {
    const stream = this.find(id)
    if (stream === undefined && !this.#reset.mayReceiveFrames(id)) {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, `Frame on closed stream ${id}`)
    }
    return stream
  }

  /** @param isReset whether this side resets the stream; the peer may have sent frames before it learns of that. */
  delete(stream: Stream, isReset: boolean): void {
    this.#open.delete(stream.id)
    if (isReset) this.#reset.add(stream.id)
  }
}

/** About the number of streams that can be open at once. */
const MAX_RESET_STREAMS = 1024

/**
 * The streams that this side has reset. Frames that the peer sent before it received RST_STREAM are ignored; frames on
 * a stream that the peer itself has closed are an error (RFC 9113 section 5.1).
 */
export class ResetStreams {
  readonly #ids = new Set<number>()
  #maxEvictedId = 0

  add(streamId: number): void {
    this.#ids.add(streamId)
    if (this.#ids.size <= MAX_RESET_STREAMS) return
    const [oldest = 0] = this.#ids
    this.#ids.delete(oldest)
    this.#maxEvictedId = Math.max(this.#maxEvictedId, oldest)
  }

  /** Also true for every id up to the largest one evicted, as the reason why those closed is no longer known. */
  mayReceiveFrames(streamId: number): boolean {
    return streamId <= this.#maxEvictedId || this.#ids.has(streamId)
  }
}
