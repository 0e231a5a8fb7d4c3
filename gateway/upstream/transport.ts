/** The interface between transcoding and the network: methods and encoded messages, whatever the transport. */
import { Code, StatusError } from '#runtime/status.ts'
import type { ProxyErrorType } from '../http/proxy-status.ts'
import type { CallPolicy } from './call-policy.ts'
import type { Cancellation } from './cancellation.ts'

/** UNAVAILABLE for a call that no server has processed. Retrying it is safe for any method. */
export class NotProcessedError extends StatusError {
  override name = 'NotProcessedError'
  readonly proxyError: ProxyErrorType = 'destination_unavailable'

  constructor(message: string, cause?: unknown) {
    super(Code.UNAVAILABLE, message, { reason: 'unavailable', cause })
  }
}

/** UNAVAILABLE for a call whose connection was lost before its response ended. A server may have processed it. */
export class ConnectionLostError extends StatusError {
  override name = 'ConnectionLostError'
  readonly proxyError: ProxyErrorType = 'connection_terminated'

  constructor(cause?: unknown) {
    super(Code.UNAVAILABLE, 'The connection to the upstream was lost', { reason: 'unavailable', cause })
  }
}

/** A response exceeds `maxMessageLength`. The reason makes it 502; RESOURCE_EXHAUSTED of the upstream itself is 429. */
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
   * @param method path on the wire, such as `/auth.v1.AuthService/Login`.
   * @param message the encoded request message. Must not change until the call has ended.
   * @param deadline in milliseconds of `performance.now()`. Sent to the server as `grpc-timeout`.
   * @param policy default `SINGLE_CALL`. The grpc-js transport ignores it.
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
    policy?: CallPolicy,
  ): Promise<Uint8Array>
  state(): TransportState
  /** Whether the upstream reports SERVING by grpc.health.v1. Never rejects. */
  isServing(): Promise<boolean>
  /** Finishes the calls in flight, then closes the connections. */
  close(): Promise<void>
}

/** Opens server streams of one upstream. */
export interface StreamTransport {
  readonly address: string
  /** Parameters and errors are those of `Transport.unary`. Messages are read on demand; `return` cancels the call. */
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
  /** Whether PINGs are sent while no call is in flight. Many gRPC servers reject such PINGs. */
  withoutCalls: boolean
}

/** One day. `setTimeout` accepts at most 24. */
export const MAX_KEEPALIVE_INTERVAL_MS = 24 * 60 * 60 * 1000

export const KEEPALIVE_DEFAULTS: KeepaliveOptions = { intervalMs: 10_000, timeoutMs: 2000, withoutCalls: false }

export interface TransportState {
  /** Number of ready connections. The grpc-js transport reports 1 for any number. */
  readonly connections: number
  /** Number of calls in flight, including waiting ones. */
  readonly calls: number
  /** Calls that wait for a connection or a stream. The grpc-js transport counts the former only. */
  readonly waitingCalls: number
}

/** Receives the attempts of one call: `onAttempt`, then `onAttemptEnd`, for each attempt. The methods must not throw. */
export interface CallObserver {
  /** @param attempt 1, or higher for transparent retries. @param server its address; with grpc-js the target. */
  onAttempt(attempt: number, server: string): void
  /** @param error undefined for OK. */
  onAttemptEnd(error: StatusError | undefined): void
}

/** Receives every call of a transport when it ends, for metrics. Must not throw. */
export interface TransportObserver {
  /** @param durationMs from the call of `unary`, including the time in the queue. */
  onCallEnd(method: string, code: Code, durationMs: number): void
}
