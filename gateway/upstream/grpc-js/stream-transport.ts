import type { Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js'
import { toStatusError } from '#runtime/grpc/client.ts'
import { toEpochDeadline } from '../deadline.ts'
import type { StreamTransport } from '../transport.ts'
import { type GrpcJsOptions, openGrpcJsClient, toBuffer, toMetadata } from './client.ts'

/**
 * Creates the transport of server streams. They are few and long, so the cost per call of @grpc/grpc-js does not matter;
 * its flow control stops the server while the consumer reads no further message.
 *
 * Each stream has a connection of its own. All streams of a connection share its flow-control window (RFC 9113 section
 * 5.2), so that a few consumers that read nothing would stop every other stream.
 */
export function createStreamTransport(options: GrpcJsOptions): StreamTransport {
  const clients = new Set<Client>()

  async function* open(...[method, message, metadata, deadline, cancellation]: Parameters<StreamTransport['open']>) {
    const client = openGrpcJsClient({ ...options, connection: 'own' })
    clients.add(client)
    const call: ClientReadableStream<Uint8Array> = client.makeServerStreamRequest(
      method,
      toBuffer,
      toBuffer,
      message,
      toMetadata(metadata),
      { deadline: toEpochDeadline(deadline) },
    )
    cancellation.attach(call)
    if (cancellation.isRequested) call.cancel()
    try {
      yield* call as AsyncIterable<Uint8Array>
    } catch (error) {
      throw toStatusError(error as ServiceError, options.origin ?? options.address)
    } finally {
      clients.delete(client)
      cancellation.detach()
      call.cancel()
      client.close()
    }
  }

  return {
    address: options.address,
    open,
    get size() {
      return clients.size
    },
    close() {
      for (const client of clients) client.close()
    },
  }
}
