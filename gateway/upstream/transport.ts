/**
 * What stands between transcoding and the wire. Transcoding speaks of methods and bytes only, so that one transport can
 * be exchanged for another upstream by upstream.
 */
import { Code, StatusError } from '#runtime/status.ts'
import type { Cancellation } from './cancellation.ts'

/** UNAVAILABLE for a call that no server has looked at: to make it again is safe, whatever it does. */
export class NotProcessedError extends StatusError {
  override name = 'NotProcessedError'

  constructor(message: string, cause?: unknown) {
    super(Code.UNAVAILABLE, message, { reason: 'unavailable', cause })
  }
}

/** RESOURCE_EXHAUSTED by our own limit, which says nothing of the caller's quota: clients see it as a bad upstream. */
export function answerTooLarge(maxLength: number, cause?: unknown): StatusError {
  return new StatusError(Code.RESOURCE_EXHAUSTED, `The answer is longer than the ${maxLength} bytes that are taken`, {
    reason: 'upstream_answer_too_large',
    cause,
  })
}

/** Request metadata in lower case. ASCII values only. */
export type CallMetadata = Readonly<Record<string, string>>

export interface Transport {
  /** Of the upstream, as gRPC names it. */
  readonly address: string
  /**
   * One unary call.
   * @param method the path on the wire, `/auth.v1.AuthService/Login`.
   * @param message the encoded request.
   * @param deadline see deadline.ts.
   * @param cancellation for a caller that may stop waiting before the deadline.
   * @param observer told of this call, where somebody traces it.
   * @returns the encoded response.
   * @throws StatusError as the upstream answered it, or UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED of the transport.
   */
  unary(
    method: string,
    message: Uint8Array,
    metadata: CallMetadata,
    deadline: number,
    cancellation?: Cancellation,
    observer?: CallObserver,
  ): Promise<Uint8Array>
  /** How much is going on, for a gauge. */
  state(): TransportState
  /** Whether the upstream says of itself that it serves, by grpc.health.v1. */
  isServing(): Promise<boolean>
  /** Finishes what is in flight. */
  close(): Promise<void>
}

/** Opens server streams. */
export interface StreamTransport {
  /** The gRPC target, such as `dns:///auth-svc:50051`. */
  readonly address: string
  /**
   * Opens one stream. The next message is read after the consumer has taken the one before; returning the generator
   * cancels the call.
   * @param method path on the wire, such as `/auth.v1.AuthService/Login`.
   * @param message the encoded request message.
   * @param deadline in milliseconds of `performance.now()`.
   * @throws StatusError with the status of the upstream, or of the transport.
   */
  open(
    method: string,
    message: Uint8Array,
    metadata: CallMetadata,
    deadline: number,
    cancellation: Cancellation,
  ): AsyncGenerator<Uint8Array, void, void>
  /** Number of open streams. */
  readonly size: number
  close(): void
}

/** Finds out that a server is gone which did not say so. */
export interface KeepaliveOptions {
  /** Milliseconds without a byte from the peer until it is asked for one. */
  intervalMs: number
  /** Milliseconds that it has to send one. */
  timeoutMs: number
  /**
   * Whether to ask without a call under way. Off by default: gRPC servers take pings without calls for abuse, and a dead
   * connection is noticed by the next call's ping.
   */
  withoutCalls: boolean
}

/** A day: a timer of Node's takes no more than 24 of them. */
export const MAX_KEEPALIVE_INTERVAL_MS = 24 * 60 * 60 * 1000

export const KEEPALIVE_DEFAULTS: KeepaliveOptions = { intervalMs: 10_000, timeoutMs: 2000, withoutCalls: false }

export interface TransportState {
  /** Connections that take calls. grpc-js does not count its own: 1 while it has any. */
  readonly connections: number
  /** Calls under way, the waiting ones among them. */
  readonly calls: number
  /** Calls that wait for a connection, or for room on one. grpc-js tells those without a connection only. */
  readonly waitingCalls: number
}

/** One call's tries: `onAttempt`, then `onAttemptEnd`, as often as the transport makes the call. Neither may throw. */
export interface CallObserver {
  /**
   * The call goes to a server.
   * @param attempt 1, or above for a call that no server had looked at and that is made again.
   * @param server its address, `10.0.0.7:50051`; by grpc-js the upstream's, as it chooses the server unseen.
   */
  onAttempt(attempt: number, server: string): void
  /** @param error undefined for an answer. */
  onAttemptEnd(error: StatusError | undefined): void
}

/** Every call of a transport, once it has ended; for metrics. May not throw. */
export interface TransportObserver {
  /** @param durationMs from the call of `unary` on, all waiting included. */
  onCallEnd(method: string, code: Code, durationMs: number): void
}
