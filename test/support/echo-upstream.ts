/**
 * A real gRPC server for any contract: each unary method answers what the test says, given the request as a message of
 * @bufbuild/protobuf. It speaks in bytes, so no generated code is needed.
 */
import { type DescService, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import {
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { toGrpcError } from '#runtime/status.ts'

export interface Received {
  method: string
  message: Message
  metadata: Record<string, string>
}

export type Answerer = (call: Received & { signal: AbortSignal }) => Message | Promise<Message>

export interface EchoUpstream {
  readonly address: string
  readonly received: Received[]
  close(): void
}

export async function startUpstream(services: readonly DescService[], answer: Answerer): Promise<EchoUpstream> {
  const received: Received[] = []
  const server = new Server()
  for (const service of services) {
    const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {}
    const handlers: Record<string, (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => void> =
      {}
    for (const method of service.methods) {
      definition[method.name] = {
        path: `/${service.typeName}/${method.name}`,
        requestStream: false,
        responseStream: false,
        requestSerialize: bytes => bytes,
        requestDeserialize: bytes => bytes,
        responseSerialize: bytes => bytes,
        responseDeserialize: bytes => bytes,
      }
      handlers[method.name] = (call, callback) => {
        const controller = new AbortController()
        call.on('cancelled', () => controller.abort())
        const one: Received = {
          method: method.name,
          message: fromBinary(method.input, call.request),
          metadata: call.metadata.getMap() as Record<string, string>,
        }
        received.push(one)
        Promise.resolve()
          .then(() => answer({ ...one, signal: controller.signal }))
          .then(
            message => callback(null, Buffer.from(toBinary(method.output, message)), trailers()),
            error => callback(toGrpcError(error)),
          )
      }
    }
    server.addService(definition, handlers)
  }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  return { address: `127.0.0.1:${port}`, received, close: () => server.forceShutdown() }
}

/** What an upstream says at the end is none of a client's business. */
function trailers(): Metadata {
  const metadata = new Metadata()
  metadata.set('x-upstream-secret', 'trailer')
  return metadata
}
