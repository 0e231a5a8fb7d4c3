import { ConnectionError } from './errors.ts'
import type { FrameWriter } from './frame-writer.ts'
import { DEFAULT_WINDOW, ErrorCode } from './protocol.ts'

/**
 * The receive window of the connection (RFC 9113 section 5.2). It is replenished when half of it is used, so that one
 * WINDOW_UPDATE covers many responses.
 */
export class ReceiveFlow {
  readonly #writer: FrameWriter
  readonly #size: number
  #window = DEFAULT_WINDOW

  /** @param size of the window in octets, at least 65,535. */
  constructor(writer: FrameWriter, size: number) {
    this.#writer = writer
    this.#size = size
  }

  /** @throws ConnectionError FLOW_CONTROL_ERROR if `length` exceeds the window. */
  consume(length: number): void {
    this.#window -= length
    if (this.#window < 0) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'DATA exceeds the window of the connection')
    }
    if (this.#window <= this.#size / 2) this.replenish()
  }

  /** Sends a WINDOW_UPDATE that restores the full size. */
  replenish(): void {
    if (this.#window === this.#size) return
    this.#writer.windowUpdate(0, this.#size - this.#window)
    this.#window = this.#size
  }
}
