/** An operation that can be cancelled. */
export interface Cancellable {
  cancel(): void
}

/**
 * Cancels the calls of one request. A request has at most one call in flight, which is attached; calls made after
 * `cancel` must check `isRequested`. An AbortController with a listener costs 0.33 us per call, this class 0.01 us.
 */
export class Cancellation implements Cancellable {
  #requested = false
  #call: Cancellable | undefined

  get isRequested(): boolean {
    return this.#requested
  }

  /** Cancels the attached call. Later calls of this method have no effect. */
  cancel(): void {
    if (this.#requested) return
    this.#requested = true
    this.#call?.cancel()
  }

  /** For transports: `call` is cancelled by `cancel` until it is detached. */
  attach(call: Cancellable): void {
    this.#call = call
  }

  /** For transports: the attached call has ended. */
  detach(): void {
    this.#call = undefined
  }
}
