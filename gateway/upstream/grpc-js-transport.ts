import {
  type ChannelCredentials,
  Client,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { Code, fromGrpcError, StatusError } from '#runtime/status.ts'
import type { Cancellation } from './cancellation.ts'
import { askHealth } from './health.ts'
import type { TlsCredentials } from './tls-credentials.ts'
import {
  answerTooLarge,
  type CallMetadata,
  KEEPALIVE_DEFAULTS,
  type KeepaliveOptions,
  type Transport,
  type TransportObserver,
} from './transport.ts'

export interface GrpcJsOptions {
  /** As gRPC names it: `dns:///auth-svc:50051`, `127.0.0.1:50051`. */
  address: string
  /** Bytes of one response at most. */
  maxMessageLength: number
  /** Absent: plain text. */
  tls?: TlsCredentials | undefined
  keepalive?: KeepaliveOptions
  observer?: TransportObserver | undefined
}

/** The transport over @grpc/grpc-js: bytes go through as they are, without a definition of the service. */
export function createGrpcJsTransport(options: GrpcJsOptions): Transport {
  const { address, maxMessageLength, tls, keepalive = KEEPALIVE_DEFAULTS, observer } = options
  const client = new Client(address, channelCredentials(tls), {
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    'grpc.max_receive_message_length': maxMessageLength + GRPC_JS_EXTRA,
    // A service that was restarted is found again within a second.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
    'grpc.keepalive_time_ms': keepalive.intervalMs,
    'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
    'grpc.keepalive_permit_without_calls': keepalive.withoutCalls ? 1 : 0,
    ...(tls?.serverName !== undefined && { 'grpc.ssl_target_name_override': tls.serverName }),
  })
  let calls = 0
  const transport: Transport = {
    address,
    unary(method, message, metadata, deadline, cancellation, callObserver) {
      const begunAt = performance.now()
      function settle(error: StatusError | undefined): void {
        calls--
        cancellation?.follow(undefined)
        callObserver?.onAttemptEnd(error)
        observer?.onCallEnd(method, error?.code ?? Code.OK, performance.now() - begunAt)
      }
      return new Promise((resolve, reject) => {
        const entries = toMetadata(metadata)
        calls++
        callObserver?.onAttempt(1, address)
        const call = client.makeUnaryRequest(
          method,
          toBuffer,
          toBuffer,
          message,
          entries,
          { deadline },
          (error: ServiceError | null, response?: Uint8Array) => {
            const failure =
              error === null
                ? checkLength(response as Uint8Array, maxMessageLength)
                : endedBy(error, deadline, cancellation, maxMessageLength)
            settle(failure)
            if (failure === undefined) resolve(response as Uint8Array)
            else reject(failure)
          },
        )
        cancellation?.follow(call)
        if (cancellation?.isRequested) call.cancel()
      })
    },
    state() {
      const isReady = client.getChannel().getConnectivityState(false) === connectivityState.READY
      return { connections: isReady ? 1 : 0, calls, waitingCalls: isReady ? 0 : calls }
    },
    isServing: () => askHealth(transport),
    close: async () => client.close(),
  }
  return transport
}

/**
 * grpc-js tells its own limit from the server's RESOURCE_EXHAUSTED by its text only, and servers of grpc-js use the same
 * text for requests. With a limit of an odd octet more the number in it is nobody else's.
 */
const GRPC_JS_EXTRA = 1

function isOwnLimit(details: string, maxMessageLength: number): boolean {
  const limit = maxMessageLength + GRPC_JS_EXTRA
  return (
    details === `Received message that decompresses to a size larger than ${limit}` ||
    (details.startsWith('Received message larger than max (') && details.endsWith(` vs ${limit})`))
  )
}

function checkLength({ length }: Uint8Array, maxMessageLength: number): StatusError | undefined {
  return length > maxMessageLength ? answerTooLarge(maxMessageLength) : undefined
}

/** Timers of two processes agree to a few milliseconds. */
const CLOCK_TOLERANCE_MS = 5

/**
 * At the deadline the server resets the stream as grpc-js is about to give up; when the reset comes first, grpc-js calls
 * it CANCELLED, although nobody cancelled anything.
 */
function endedBy(
  error: ServiceError,
  deadline: number,
  cancellation: Cancellation | undefined,
  maxMessageLength: number,
): StatusError {
  if (error.code === Code.RESOURCE_EXHAUSTED && isOwnLimit(error.details, maxMessageLength)) {
    return answerTooLarge(maxMessageLength, error)
  }
  const isLate = Date.now() + CLOCK_TOLERANCE_MS >= deadline
  if (error.code !== Code.CANCELLED || cancellation?.isRequested || !isLate) return fromGrpcError(error)
  return new StatusError(Code.DEADLINE_EXCEEDED, 'The deadline has passed', { cause: error })
}

function channelCredentials(tls: TlsCredentials | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure()
  return credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null)
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
