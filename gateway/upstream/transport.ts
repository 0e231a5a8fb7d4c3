/**
 * What stands between transcoding and the wire. Transcoding speaks of methods and bytes only, so that one transport can
 * be exchanged for another upstream by upstream.
 */
import { Code, StatusError } from '#runtime/status.ts'

/** UNAVAILABLE for a call that no server has looked at: to make it again is safe, whatever it does. */
export class NotProcessedError extends StatusError {
  override name = 'NotProcessedError'

  constructor(message: string, cause?: unknown) {
    super(Code.UNAVAILABLE, message, { reason: 'unavailable', cause })
  }
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
   * @param deadline milliseconds since the epoch.
   * @param signal aborted when nobody waits for the answer any more.
   * @returns the encoded response.
   * @throws StatusError as the upstream answered it, or UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED of the transport.
   */
  unary(
    method: string,
    message: Uint8Array,
    metadata: CallMetadata,
    deadline: number,
    signal: AbortSignal,
  ): Promise<Uint8Array>
  /** Whether the upstream says of itself that it serves, by grpc.health.v1. */
  isServing(): Promise<boolean>
  /** Finishes what is in flight. */
  close(): Promise<void>
}
