import type { Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js'
import { fromGrpcError } from '#runtime/status.ts'
import { toEpochDeadline } from '../deadline.ts'
import type { StreamTransport } from '../transport.ts'
import { type GrpcJsOptions, openGrpcJsClient, toBuffer, toMetadata } from './client.ts'

/**
 * Creates the transport of server streams. They are few and long, so the cost per call of @grpc/grpc-js does not matter;
 * its flow control stops the server while the consumer reads no further message. Connects when the first stream opens.
 */
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
      { deadline: toEpochDeadline(deadline) },
    )
    size++
    cancellation.attach(call)
    if (cancellation.isRequested) call.cancel()
    try {
      yield* call as AsyncIterable<Uint8Array>
    } catch (error) {
      throw fromGrpcError(error as ServiceError)
    } finally {
      size--
      cancellation.detach()
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
