/**
 * Clients of one service to another: ts-proto's callback clients as promises, each call with a deadline, in the trace of
 * the code that makes it, and its errors as StatusError.
 */
import {
  type CallOptions,
  type ChannelCredentials,
  type ClientOptions,
  type ClientReadableStream,
  credentials,
  type Client as GrpcClient,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { fromGrpcError } from './status.ts'
import { activeSpanContext, traceHeaders } from './telemetry.ts'

export interface CallSettings {
  /** Milliseconds; 2000 unless given. */
  timeoutMs?: number
  /** Sent as `Authorization: Bearer`. */
  token?: string
  signal?: AbortSignal
}

type UnaryMethod<Q, R> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: R) => void,
) => { cancel(): void }

type StreamMethod<Q, R> = (request: Q, metadata: Metadata, options?: Partial<CallOptions>) => ClientReadableStream<R>

/** @param address as gRPC names it, such as `dns:///auth-svc:50051` or `127.0.0.1:50051`. */
export function createClient<C extends GrpcClient>(
  Client: new (address: string, credentials: ChannelCredentials, options?: Partial<ClientOptions>) => C,
  address: string,
): C {
  return new Client(address, credentials.createInsecure(), {
    // Answers come from our own services, and a snapshot of revocations has 60 bytes for each.
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    // A service that was restarted is found again within a second.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 2_000,
  })
}

/** @throws StatusError as the service answered it, or UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED of the client itself. */
export function callUnary<Q, R>(
  client: GrpcClient,
  method: UnaryMethod<Q, R>,
  request: Q,
  settings: CallSettings = {},
): Promise<R> {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + (settings.timeoutMs ?? 2000)
    const call = method.call(client, request, metadataOf(settings), { deadline }, (error, response) => {
      release()
      if (error) reject(fromGrpcError(error))
      else resolve(response)
    })
    const release = cancelAt(settings.signal, call)
  })
}

/** The messages of a server stream. Leaving the loop cancels the call. */
export async function* callServerStream<Q, R>(
  client: GrpcClient,
  method: StreamMethod<Q, R>,
  request: Q,
  settings: Omit<CallSettings, 'timeoutMs'> = {},
): AsyncGenerator<R, void, void> {
  const call = method.call(client, request, metadataOf(settings))
  const release = cancelAt(settings.signal, call)
  try {
    yield* call as AsyncIterable<R>
  } catch (error) {
    throw fromGrpcError(error as ServiceError)
  } finally {
    release()
    call.cancel()
  }
}

/** @returns what lets go of the signal, which may outlive many calls. */
function cancelAt(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  const cancel = () => call.cancel()
  if (signal?.aborted) cancel()
  else signal?.addEventListener('abort', cancel)
  return () => signal?.removeEventListener('abort', cancel)
}

function metadataOf(settings: { token?: string }): Metadata {
  const metadata = new Metadata()
  const spanContext = activeSpanContext()
  if (spanContext !== undefined) {
    for (const [name, value] of Object.entries(traceHeaders(spanContext))) metadata.set(name, value)
  }
  if (settings.token !== undefined) metadata.set('authorization', `Bearer ${settings.token}`)
  return metadata
}
