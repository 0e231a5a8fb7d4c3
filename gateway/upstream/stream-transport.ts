/**
 * Server streams, by @grpc/grpc-js: they are few and long, so that its cost of a call does not matter, and its flow control
 * stops the server when nobody reads on.
 */
import type { Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js'
import { fromGrpcError } from '#runtime/status.ts'
import type { Cancellation } from './cancellation.ts'
import { epochDeadline } from './deadline.ts'
import { type GrpcJsOptions, openGrpcJsClient, toBuffer, toMetadata } from './grpc-js/client.ts'
import type { CallMetadata } from './transport.ts'

export interface StreamTransport {
  readonly address: string
  /**
   * Messages as they come; the next one is asked for when the one before was taken. To stop iterating cancels the call.
   * @param method the path on the wire.
   * @param deadline see deadline.ts.
   * @throws StatusError as the upstream ended it, or of the transport.
   */
  open(
    method: string,
    message: Uint8Array,
    metadata: CallMetadata,
    deadline: number,
    cancellation: Cancellation,
  ): AsyncGenerator<Uint8Array, void, void>
  /** Streams that are open. */
  readonly size: number
  close(): void
}

/** Connects with the first stream. */
export function createStreamTransport(options: GrpcJsOptions): StreamTransport {
  let client: Client | undefined
  let size = 0

  async function* open(...[method, message, metadata, deadline, cancellation]: Parameters<StreamTransport['open']>) {
    client ??= openGrpcJsClient(options)
    const call: ClientReadableStream<Uint8Array> = client.makeServerStreamRequest(
      method,
      toBuffer,
      toBuffer,
      message,
      toMetadata(metadata),
      { deadline: epochDeadline(deadline) },
    )
    size++
    cancellation.follow(call)
    if (cancellation.isRequested) call.cancel()
    try {
      yield* call as AsyncIterable<Uint8Array>
    } catch (error) {
      throw fromGrpcError(error as ServiceError)
    } finally {
      size--
      cancellation.follow(undefined)
      call.cancel()
    }
  }

  return {
    address: options.address,
    open,
    get size() {
      return size
    },
    close: () => client?.close(),
  }
}
