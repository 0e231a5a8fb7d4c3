import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { Code, fromGrpcError, StatusError } from '#runtime/status.ts'
import { askHealth } from './health.ts'
import type { CallMetadata, Transport } from './transport.ts'

export interface GrpcJsOptions {
  /** As gRPC names it: `dns:///auth-svc:50051`, `127.0.0.1:50051`. */
  address: string
  /** Bytes of one response at most. */
  maxMessageLength: number
}

/** The transport over @grpc/grpc-js: bytes go through as they are, without a definition of the service. */
export function createGrpcJsTransport({ address, maxMessageLength }: GrpcJsOptions): Transport {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    'grpc.max_receive_message_length': maxMessageLength,
    // A service that was restarted is found again within a second.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 2_000,
  })
  const transport: Transport = {
    address,
    unary(method, message, metadata, deadline, signal) {
      return new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          method,
          toBuffer,
          toBuffer,
          message,
          toMetadata(metadata),
          { deadline },
          (error: ServiceError | null, response?: Uint8Array) => {
            signal.removeEventListener('abort', cancel)
            if (error !== null) reject(endedBy(error, deadline, signal))
            else resolve(response as Uint8Array)
          },
        )
        function cancel(): void {
          call.cancel()
        }
        signal.addEventListener('abort', cancel, { once: true })
        if (signal.aborted) cancel()
      })
    },
    isServing: () => askHealth(transport),
    close: async () => client.close(),
  }
  return transport
}

/** Timers of two processes agree to a few milliseconds. */
const CLOCK_TOLERANCE_MS = 5

/**
 * At the deadline the server resets the stream as grpc-js is about to give up; when the reset comes first, grpc-js calls
 * it CANCELLED, although nobody cancelled anything.
 */
function endedBy(error: ServiceError, deadline: number, signal: AbortSignal): StatusError {
  const isLate = Date.now() + CLOCK_TOLERANCE_MS >= deadline
  if (error.code !== Code.CANCELLED || signal.aborted || !isLate) return fromGrpcError(error)
  return new StatusError(Code.DEADLINE_EXCEEDED, 'The deadline has passed', { cause: error })
}

/** The same bytes as grpc-js wants to see them. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function toMetadata(entries: CallMetadata): Metadata {
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(entries)) {
    // grpc-js encodes these itself.
    metadata.set(key, key.endsWith('-bin') ? Buffer.from(value, 'base64') : value)
  }
  return metadata
}
