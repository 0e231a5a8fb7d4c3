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
import type { SpanContext } from '@opentelemetry/api'
import { recordClientCall, serverAttributes } from '../observability/client-spans.ts'
import { activeSpanContext, childSpanContext } from '../observability/spans.ts'
import { isSampled, traceHeaders } from '../observability/trace-context.ts'
import { Code, fromGrpcError } from '../status.ts'

export interface CallSettings {
  /** Milliseconds; 2000 unless given. */
  timeoutMs?: number
  /** Sent as `Authorization: Bearer`. */
  token?: string
  signal?: AbortSignal
}

interface Method {
  /** On the wire, as grpc-js notes it on the functions that it makes. */
  readonly path?: string
}

type UnaryMethod<Q, R> = Method &
  ((
    request: Q,
    metadata: Metadata,
    options: Partial<CallOptions>,
    callback: (error: ServiceError | null, response: R) => void,
  ) => { cancel(): void })

type StreamMethod<Q, R> = Method &
  ((request: Q, metadata: Metadata, options?: Partial<CallOptions>) => ClientReadableStream<R>)

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
    const span = beginCall(client, method)
    const metadata = metadataOf(settings, span.spanContext)
    const call = method.call(client, request, metadata, { deadline }, (error, response) => {
      release()
      span.end(error?.code)
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
  const span = beginCall(client, method)
  const call = method.call(client, request, metadataOf(settings, span.spanContext))
  const release = cancelAt(settings.signal, call)
  let code: Code | undefined
  try {
    yield* call as AsyncIterable<R>
  } catch (error) {
    code = (error as ServiceError).code
    throw fromGrpcError(error as ServiceError)
  } finally {
    release()
    call.cancel()
    span.end(code)
  }
}

/** @returns what lets go of the signal, which may outlive many calls. */
function cancelAt(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  const cancel = () => call.cancel()
  if (signal?.aborted) cancel()
  else signal?.addEventListener('abort', cancel)
  return () => signal?.removeEventListener('abort', cancel)
}

interface CallSpan {
  /** What the call's metadata names as its parent. */
  readonly spanContext: SpanContext | undefined
  /** @param code absent for success. */
  end(code?: Code): void
}

/** A span for the call if what makes it is sampled; else the call belongs to what makes it. */
function beginCall(client: GrpcClient, method: Method): CallSpan {
  const parent = activeSpanContext()
  if (!isSampled(parent)) return { spanContext: parent, end: () => {} }
  const spanContext = childSpanContext(parent)
  const startedAt = performance.now()
  const name = method.path?.slice(1) ?? 'grpc'
  return {
    spanContext,
    end: (code = Code.OK) =>
      recordClientCall({
        name,
        code: Code[code],
        spanContext,
        parent,
        startedAt,
        attributes: serverAttributes(client.getChannel().getTarget()),
      }),
  }
}

function metadataOf(settings: { token?: string }, spanContext: SpanContext | undefined): Metadata {
  const metadata = new Metadata()
  if (spanContext !== undefined) {
    for (const [name, value] of Object.entries(traceHeaders(spanContext))) metadata.set(name, value)
  }
  if (settings.token !== undefined) metadata.set('authorization', `Bearer ${settings.token}`)
  return metadata
}
