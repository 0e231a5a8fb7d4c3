import { ConnectionError, StreamError } from './errors.ts'
import { MAX_DATA_LENGTH, MESSAGE_HEADER_LENGTH, type Outbox } from './outbox.ts'
import { DEFAULT_WINDOW, ErrorCode, MAX_WINDOW } from './protocol.ts'
import { protocolViolation } from './status-mapping.ts'
import type { Stream } from './stream.ts'

/** Bytes that wait in memory for the socket; beyond, messages wait in their calls. */
const MAX_BACKLOG = 1024 * 1024

/** Sends messages as far as the peer's windows allow, RFC 9113 section 5.2, a frame of each waiting stream in turn. */
export class SendFlow {
  readonly #outbox: Outbox
  readonly #waiting = new Set<Stream>()
  #window = DEFAULT_WINDOW

  constructor(outbox: Outbox) {
    this.#outbox = outbox
  }

  /** Whether the peer reads so slowly that nothing is to be begun: a head, unlike a message, cannot wait. */
  get isClogged(): boolean {
    return this.#outbox.backlog > MAX_BACKLOG
  }

  begin(stream: Stream): void {
    while (this.#sendFrame(stream)) if (stream.isSent) return
    this.#waiting.add(stream)
  }

  forget(stream: Stream): void {
    if (!stream.isSent) this.#waiting.delete(stream)
  }

  /** After a window has grown or the socket has taken what waited for it. */
  resume(): void {
    for (let sent = true; sent && this.#waiting.size > 0; ) {
      sent = false
      for (const stream of this.#waiting) {
        if (!this.#sendFrame(stream)) continue
        sent = true
        if (stream.isSent) this.#waiting.delete(stream)
      }
    }
  }

  /** @throws ConnectionError FLOW_CONTROL_ERROR */
  grow(increment: number): void {
    this.#window += increment
    if (this.#window > MAX_WINDOW) throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'The window is too large')
    this.resume()
  }

  /** @throws StreamError FLOW_CONTROL_ERROR */
  growStream(stream: Stream, increment: number): void {
    stream.sendWindow += increment
    if (stream.sendWindow > MAX_WINDOW) {
      throw new StreamError(ErrorCode.FLOW_CONTROL_ERROR, protocolViolation('a window is too large'))
    }
    // Others cannot have gained by it.
    while (!stream.isSent && this.#sendFrame(stream)) if (stream.isSent) this.#waiting.delete(stream)
  }

  #sendFrame(stream: Stream): boolean {
    const total = MESSAGE_HEADER_LENGTH + stream.message.length
    const from = stream.sent
    const length = Math.min(total - from, stream.sendWindow, this.#window, MAX_DATA_LENGTH)
    if (length <= 0 || this.#outbox.backlog > MAX_BACKLOG) return false
    this.#outbox.message(stream.id, stream.message, from, from + length, from + length === total)
    stream.sent += length
    stream.sendWindow -= length
    this.#window -= length
    return true
  }
}
