/**
 * A gRPC server for any contract. A function of the test implements all methods with messages of @bufbuild/protobuf. The
 * server itself handles bytes, so that no generated code is needed.
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
  type StatusObject,
  type UntypedHandleCall,
} from '@grpc/grpc-js'
import { toGrpcError } from '#runtime/status.ts'

/** A request as the upstream received it. */
export interface ReceivedCall {
  /** Name of the method, without its service. */
  method: string
  message: Message
  metadata: Record<string, string>
  /** Time until the deadline of the call when it arrived, in milliseconds. */
  timeoutMs: number
}

/**
 * Returns the response message; for a server stream, its messages. May throw a StatusError, or a status as grpc-js sends it.
 * `signal` is aborted when the call is cancelled.
 */
export type Responder = (
  call: ReceivedCall & { signal: AbortSignal },
) => Message | Promise<Message> | AsyncIterable<Message>

export interface EchoUpstream {
  /** `host:port` */
  readonly address: string
  /** All calls since the start, in order. */
  readonly received: ReceivedCall[]
  /** Stops the server and cancels its calls. */
  close(): void
}

/** Starts the server on a free port of 127.0.0.1. */
export async function startUpstream(services: readonly DescService[], respond: Responder): Promise<EchoUpstream> {
  const received: ReceivedCall[] = []
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
      const startCall = (call: ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>) => {
        const controller = new AbortController()
        ;(call as ServerUnaryCall<Buffer, Buffer>).on('cancelled', () => controller.abort())
        const receivedCall: ReceivedCall = {
          method: method.name,
          message: fromBinary(method.input, call.request),
          metadata: call.metadata.getMap() as Record<string, string>,
          timeoutMs: Number(call.getDeadline()) - Date.now(),
        }
        received.push(receivedCall)
        return { ...receivedCall, signal: controller.signal }
      }
      const bytesOf = (message: Message) => Buffer.from(toBinary(method.output, message))
      const unary: handleUnaryCall<Buffer, Buffer> = async (call, callback) => {
        try {
          callback(null, bytesOf((await respond(startCall(call))) as Message), trailers())
        } catch (error) {
          callback(statusOf(error))
        }
      }
      const stream: handleServerStreamingCall<Buffer, Buffer> = async call => {
        const streamCall = startCall(call)
        try {
          for await (const message of respond(streamCall) as AsyncIterable<Message>) {
            if (streamCall.signal.aborted) return
            if (!call.write(bytesOf(message))) await once(call, 'drain', { signal: streamCall.signal })
          }
          call.end(trailers())
        } catch (error) {
          call.emit('error', statusOf(error))
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

/** A trailer that the gateway must not forward to the client. */
function trailers(): Metadata {
  const metadata = new Metadata()
  metadata.set('x-upstream-secret', 'trailer')
  return metadata
}

function statusOf(error: unknown): Partial<StatusObject> {
  return error instanceof Error ? toGrpcError(error) : (error as Partial<StatusObject>)
}
