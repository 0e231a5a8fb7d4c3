import { Code, StatusError } from '#runtime/status.ts'

export interface CircuitBreakerLimits {
  /** Maximum number of unary calls in progress. */
  maxCalls: number
  /** Maximum number of open server streams. */
  maxStreams: number
}

/** Calls and streams in progress of one upstream. Shared by the generations of the configuration. */
export interface UpstreamLoad {
  calls: number
  streams: number
}

/**
 * Bounds the calls in progress of one upstream, as gRPC A32 specifies: one that responds slowly must not hold the memory and
 * the connections of the gateway. Streams last long, so they are counted apart.
 */
export class CircuitBreaker {
  readonly #limits: CircuitBreakerLimits
  readonly #load: UpstreamLoad
  readonly #onReject: () => void

  constructor(limits: CircuitBreakerLimits, load: UpstreamLoad, onReject: () => void) {
    this.#limits = limits
    this.#load = load
    this.#onReject = onReject
  }

  /** Counts a call; end it with `endCall`. @throws StatusError `upstream_overloaded` (503). */
  startCall(): void {
    if (this.#load.calls >= this.#limits.maxCalls) throw this.#reject()
    this.#load.calls++
  }

  endCall(): void {
    this.#load.calls--
  }

  /** Counts a stream; end it with `endStream`. @throws as `startCall`. */
  startStream(): void {
    if (this.#load.streams >= this.#limits.maxStreams) throw this.#reject()
    this.#load.streams++
  }

  endStream(): void {
    this.#load.streams--
  }

  #reject(): StatusError {
    this.#onReject()
    return upstreamOverloaded('Too many calls of the upstream are in progress. Retry later.')
  }
}

/** UNAVAILABLE for a call that is not sent, because the upstream has enough of them. No retry helps. */
export function upstreamOverloaded(message: string): StatusError {
  return new StatusError(Code.UNAVAILABLE, message, { reason: 'upstream_overloaded' })
}
