/**
 * The interface between transcoding and the network. Transcoding knows only methods and encoded messages, so each upstream
 * can use another transport.
 */
import { Code, StatusError } from '#runtime/status.ts'
import type { Cancellation } from './cancellation.ts'

/** UNAVAILABLE for a call that no server has processed. Retrying it is safe for any method. */
export class NotProcessedError extends StatusError {
  override name = 'NotProcessedError'

  constructor(message: string, cause?: unknown) {
    super(Code.UNAVAILABLE, message, { reason: 'unavailable', cause })
  }
}

/**
 * The status of a response that exceeds `maxMessageLength`. Its reason distinguishes it from RESOURCE_EXHAUSTED of the
 * upstream, so that the client gets 502, not 429.
 */
export function responseTooLarge(maxLength: number, cause?: unknown): StatusError {
  return new StatusError(Code.RESOURCE_EXHAUSTED, `The response of the upstream is longer than ${maxLength} bytes`, {
    reason: 'upstream_answer_too_large',
    cause,
  })
}

/** Request metadata. Keys are lower case; values are printable ASCII, or base64 if the key ends in `-bin`. */
export type CallMetadata = Readonly<Record<string, string>>

/** Makes unary calls to one upstream. */
export interface Transport {
  /** The gRPC target, such as `dns:///auth-svc:50051`. */
  readonly address: string
  /**
   * Makes one unary call.
   * @param method path on the wire, such as `/auth.v1.AuthService/Login`.
   * @param message the encoded request message. Must not change until the call has ended.
   * @param deadline in milliseconds of `performance.now()`. Sent to the server as `grpc-timeout`.
   * @param cancellation cancels the call before its deadline.
   * @param observer receives the attempts of this call. Default: none.
   * @returns the encoded response message.
   * @throws StatusError with the status of the upstream, or UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED or
   * RESOURCE_EXHAUSTED of the transport.
   */
  unary(
    method: string,
    message: Uint8Array,
    metadata: CallMetadata,
    deadline: number,
    cancellation?: Cancellation,
    observer?: CallObserver,
  ): Promise<Uint8Array>
  /** Current numbers of connections and calls, for gauges. */
  state(): TransportState
  /** Whether the upstream reports SERVING by grpc.health.v1. Never rejects. */
  isServing(): Promise<boolean>
  /** Finishes the calls in flight, then closes the connections. */
  close(): Promise<void>
}

/** Opens server streams of one upstream. */
export interface StreamTransport {
  /** The gRPC target, such as `dns:///auth-svc:50051`. */
  readonly address: string
  /**
   * Opens one stream. Parameters and errors are those of `Transport.unary`. The next message is read only after the
   * consumer has taken the previous one. Returning the generator cancels the call.
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

/** Keepalive by HTTP/2 PING, which detects dead connections (https://grpc.io/docs/guides/keepalive/). */
export interface KeepaliveOptions {
  /** Time without received bytes after which a PING is sent, in milliseconds. */
  intervalMs: number
  /** Time to wait for any bytes after a PING, in milliseconds. Then the connection is closed. */
  timeoutMs: number
  /**
   * Whether pings are sent while no call is in flight. Default false: many gRPC servers reject such pings, and a dead
   * connection is detected at the next call.
   */
  withoutCalls: boolean
}

/** One day. `setTimeout` accepts at most 24. */
export const MAX_KEEPALIVE_INTERVAL_MS = 24 * 60 * 60 * 1000

/** 10 seconds, 2 seconds, only with calls in flight. */
export const KEEPALIVE_DEFAULTS: KeepaliveOptions = { intervalMs: 10_000, timeoutMs: 2000, withoutCalls: false }

export interface TransportState {
  /** Number of ready connections. The grpc-js transport reports 1 for any number. */
  readonly connections: number
  /** Number of calls in flight, including waiting ones. */
  readonly calls: number
  /** Number of calls that wait for a connection or for a stream. The grpc-js transport counts the former only. */
  readonly waitingCalls: number
}

/** Receives the attempts of one call: `onAttempt`, then `onAttemptEnd`, for each attempt. The methods must not throw. */
export interface CallObserver {
  /**
   * The call is sent to a server.
   * @param attempt 1, or higher for transparent retries.
   * @param server address such as `10.0.0.7:50051`. The grpc-js transport passes its target, as it does not know the server.
   */
  onAttempt(attempt: number, server: string): void
  /** @param error undefined for OK. */
  onAttemptEnd(error: StatusError | undefined): void
}

/** Receives every call of a transport when it ends, for metrics. Must not throw. */
export interface TransportObserver {
  /** @param durationMs from the call of `unary`, including the time in the queue. */
  onCallEnd(method: string, code: Code, durationMs: number): void
}
