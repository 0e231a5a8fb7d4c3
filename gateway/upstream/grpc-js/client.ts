/** A client of @grpc/grpc-js that speaks in bytes: they go through as they are, without a definition of the service. */
import { type ChannelCredentials, Client, credentials, Metadata } from '@grpc/grpc-js'
import type { TlsCredentials } from '../tls-credentials.ts'
import { type CallMetadata, KEEPALIVE_DEFAULTS, type KeepaliveOptions, type TransportObserver } from '../transport.ts'

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

/**
 * grpc-js tells its own limit from the server's RESOURCE_EXHAUSTED by its text only, and servers of grpc-js use the same
 * text for requests. With a limit of an odd octet more the number in it is nobody else's.
 */
export const GRPC_JS_EXTRA = 1

export function openGrpcJsClient(options: GrpcJsOptions): Client {
  const { address, maxMessageLength, tls, keepalive = KEEPALIVE_DEFAULTS } = options
  return new Client(address, channelCredentials(tls), {
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
}

function channelCredentials(tls: TlsCredentials | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure()
  return credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null)
}

/** The same bytes as grpc-js wants to see them. */
export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export function toMetadata(entries: CallMetadata): Metadata {
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(entries)) {
    // grpc-js encodes these itself.
    metadata.set(key, key.endsWith('-bin') ? Buffer.from(value, 'base64') : value)
  }
  return metadata
}
