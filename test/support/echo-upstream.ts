/**
 * A real gRPC server for any contract: each method answers what the test says, given the request as a message of
 * @bufbuild/protobuf. It speaks in bytes, so no generated code is needed.
 */
import { once } from 'node:events'
import { type DescService, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
} from '@grpc/grpc-js'
import { toGrpcError } from '#runtime/status.ts'

export interface Received {
  method: string
  message: Message
  metadata: Record<string, string>
}

/** Of a stream the messages as they are wanted. */
export type Answerer = (call: Received & { signal: AbortSignal }) => Message | Promise<Message> | AsyncIterable<Message>

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
    const handlers: Record<string, UntypedHandleCall> = {}
    for (const method of service.methods) {
      definition[method.name] = {
        path: `/${service.typeName}/${method.name}`,
        requestStream: false,
        responseStream: method.methodKind === 'server_streaming',
        requestSerialize: bytes => bytes,
        requestDeserialize: bytes => bytes,
        responseSerialize: bytes => bytes,
        responseDeserialize: bytes => bytes,
      }
      const begin = (call: ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>) => {
        const controller = new AbortController()

        ;(call as ServerUnaryCall<Buffer, Buffer>).on('cancelled', () => controller.abort())
        const one: Received = {
          method: method.name,
          message: fromBinary(method.input, call.request),
          metadata: call.metadata.getMap() as Record<string, string>,
        }
        received.push(one)
        return { ...one, signal: controller.signal }
      }
      const bytesOf = (message: Message) => Buffer.from(toBinary(method.output, message))
      const unary: handleUnaryCall<Buffer, Buffer> = async (call, callback) => {
        try {
          callback(null, bytesOf((await answer(begin(call))) as Message), trailers())
        } catch (error) {
          callback(toGrpcError(error))
        }
      }
      const stream: handleServerStreamingCall<Buffer, Buffer> = async call => {
        const of = begin(call)
        try {
          for await (const message of answer(of) as AsyncIterable<Message>) {
            if (of.signal.aborted) return
            if (!call.write(bytesOf(message))) await once(call, 'drain', { signal: of.signal })
          }
          call.end(trailers())
        } catch (error) {
          call.emit('error', toGrpcError(error))
        }
      }
      handlers[method.name] = method.methodKind === 'server_streaming' ? stream : unary
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
