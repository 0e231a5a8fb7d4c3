import { ConnectionError } from './errors.ts'
import type { Outbox } from './outbox.ts'
import { DEFAULT_WINDOW, ErrorCode } from './protocol.ts'

/** The connection's receive window, given back when half of it is used: one frame for many answers. */
export class ReceiveFlow {
  readonly #outbox: Outbox
  readonly #size: number
  #window = DEFAULT_WINDOW

  /** @param size of the window, at least the 65,535 that it begins with. */
  constructor(outbox: Outbox, size: number) {
    this.#outbox = outbox
    this.#size = size
  }

  /** @throws ConnectionError FLOW_CONTROL_ERROR for more than was allowed. */
  take(length: number): void {
    this.#window -= length
    if (this.#window < 0) throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'More data than the window allows')
    if (this.#window <= this.#size / 2) this.open()
  }

  open(): void {
    if (this.#window === this.#size) return
    this.#outbox.windowUpdate(0, this.#size - this.#window)
    this.#window = this.#size
  }
}
