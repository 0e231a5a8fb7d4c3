import { ConnectionError, StreamError } from './errors.ts'
import { type FrameWriter, MAX_DATA_LENGTH, MESSAGE_HEADER_LENGTH } from './frame-writer.ts'
import { DEFAULT_WINDOW, ErrorCode, MAX_WINDOW } from './protocol.ts'
import { protocolViolation } from './status-mapping.ts'
import type { Stream } from './stream.ts'

/** Bytes that may wait in memory for the socket. Above it no DATA is written. */
const MAX_BACKLOG = 1024 * 1024

/**
 * Sends request messages within the flow-control windows of the peer (RFC 9113 section 5.2). Streams that wait for a
 * window are served round robin, one frame each.
 */
export class SendFlow {
  readonly #writer: FrameWriter
  readonly #waiting = new Set<Stream>()
  #window = DEFAULT_WINDOW

  constructor(writer: FrameWriter) {
    this.#writer = writer
  }

  /** If true, no stream may start, because HEADERS are not subject to flow control. */
  get isBacklogged(): boolean {
    return this.#writer.backlog > MAX_BACKLOG
  }

  /** Sends the message of a new stream as far as the windows allow; the rest waits. */
  send(stream: Stream): void {
    while (this.#sendFrame(stream)) if (stream.isSent) return
    this.#waiting.add(stream)
  }

  remove(stream: Stream): void {
    if (!stream.isSent) this.#waiting.delete(stream)
  }

  /** Continues after the connection window has grown or the socket has accepted data. */
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

  /** @throws ConnectionError FLOW_CONTROL_ERROR if the connection window exceeds 2^31-1. */
  increaseWindow(increment: number): void {
    this.#window += increment
    if (this.#window > MAX_WINDOW) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'WINDOW_UPDATE overflows the window of the connection')
    }
    this.resume()
  }

  /** @param increment may be negative. @throws StreamError FLOW_CONTROL_ERROR if the window exceeds 2^31-1. */
  increaseStreamWindow(stream: Stream, increment: number): void {
    stream.sendWindow += increment
    if (stream.sendWindow > MAX_WINDOW) {
      throw new StreamError(ErrorCode.FLOW_CONTROL_ERROR, protocolViolation('WINDOW_UPDATE overflows the window'))
    }
    while (!stream.isSent && this.#sendFrame(stream)) if (stream.isSent) this.#waiting.delete(stream)
  }

  /** @returns false if a window is exhausted or the socket is backlogged. */
  #sendFrame(stream: Stream): boolean {
    const total = MESSAGE_HEADER_LENGTH + stream.message.length
    const from = stream.sent
    const length = Math.min(total - from, stream.sendWindow, this.#window, MAX_DATA_LENGTH)
    if (length <= 0 || this.#writer.backlog > MAX_BACKLOG) return false
    this.#writer.message(stream.id, stream.message, from, from + length, from + length === total)
    stream.sent += length
    stream.sendWindow -= length
    this.#window -= length
    return true
  }
}
