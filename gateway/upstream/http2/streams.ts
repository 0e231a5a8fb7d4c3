import { ClosedStreams } from './closed-streams.ts'
import { ConnectionError } from './errors.ts'
import { violation } from './frame-checks.ts'
import { ErrorCode, MAX_STREAM_ID } from './protocol.ts'
import type { Stream } from './stream.ts'
import { StreamTable } from './stream-table.ts'

/** The streams of a connection: their ids, those under way, and which frames may still come for those that are over. */
export class Streams {
  readonly #open = new StreamTable<Stream>()
  readonly #closed = new ClosedStreams()
  #nextId: number

  constructor(firstId: number) {
    this.#nextId = firstId
  }

  /** Under way. */
  get size(): number {
    return this.#open.size
  }

  /** The id of the newest stream. */
  get lastId(): number {
    return this.#nextId - 2
  }

  get areUsedUp(): boolean {
    return this.#nextId > MAX_STREAM_ID
  }

  takeId(): number {
    const id = this.#nextId
    this.#nextId += 2
    return id
  }

  add(stream: Stream): void {
    this.#open.add(stream)
  }

  has(stream: Stream): boolean {
    return this.#open.get(stream.id) === stream
  }

  /** A copy. */
  list(): Stream[] {
    return this.#open.list()
  }

  /**
   * For frames that may come after the end.
   * @returns undefined for a stream that has ended.
   * @throws ConnectionError for one that never began.
   */
  known(id: number): Stream | undefined {
    const stream = this.#open.get(id)
    if (stream === undefined && (id % 2 === 0 || id >= this.#nextId)) {
      throw violation(`A frame names stream ${id}, which is not open`)
    }
    return stream
  }

  /** For frames of an answer. @throws ConnectionError also for a stream that the peer has ended itself. */
  answered(id: number): Stream | undefined {
    const stream = this.known(id)
    if (stream === undefined && !this.#closed.mayHaveFramesUnderWay(id)) {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, `A frame names stream ${id}, which has ended`)
    }
    return stream
  }

  /** @param byReset whether it ends by a reset of ours, which the peer's frames may cross. */
  delete(stream: Stream, byReset: boolean): void {
    this.#open.delete(stream.id)
    if (byReset) this.#closed.addReset(stream.id)
  }
}
