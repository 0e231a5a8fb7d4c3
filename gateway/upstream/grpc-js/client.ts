/** Clients of @grpc/grpc-js for encoded messages, without a service definition. */
import { type ChannelCredentials, Client, credentials, Metadata } from '@grpc/grpc-js'
import type { TlsCredentials } from '../tls-credentials.ts'
import { type CallMetadata, KEEPALIVE_DEFAULTS, type KeepaliveOptions, type TransportObserver } from '../transport.ts'

export interface GrpcJsOptions {
  /** The gRPC target, such as `dns:///auth-svc:50051`. */
  address: string
  /** Maximum length of one response message, in bytes. A longer one fails its call with RESOURCE_EXHAUSTED. */
  maxMessageLength: number
  /** Default: plain text. */
  tls?: TlsCredentials | undefined
  /** Default `KEEPALIVE_DEFAULTS`. */
  keepalive?: KeepaliveOptions
  observer?: TransportObserver | undefined
  /** Name of the upstream and the file that sets `address`, for errors. Default `address`. */
  origin?: string
  /**
   * `shared`: one connection to each address, with round_robin load balancing. `own`: a connection that no other client
   * uses, to one address at random. Default `shared`.
   */
  connection?: 'shared' | 'own'
}

/**
 * Added to the message limit of a client. grpc-js servers report their own limit with the same code and text; the unusual
 * number in the text identifies the limit of this client.
 */
export const GRPC_JS_LIMIT_OFFSET = 1

/** Channel options of the two kinds of connection. */
const CONNECTIONS = {
  shared: { 'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }) },
  own: {
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ pick_first: { shuffleAddressList: true } }] }),
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
  },
} as const

/** Creates a client. It connects with the first call. */
export function openGrpcJsClient(options: GrpcJsOptions): Client {
  const { address, maxMessageLength, tls, keepalive = KEEPALIVE_DEFAULTS, connection = 'shared' } = options
  return new Client(address, channelCredentials(tls), {
    ...CONNECTIONS[connection],
    'grpc.max_receive_message_length': maxMessageLength + GRPC_JS_LIMIT_OFFSET,
    // A restarted server is used again within a second.
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

/** Returns a Buffer over the same memory, as grpc-js expects. */
export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export function toMetadata(entries: CallMetadata): Metadata {
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(entries)) {
    // grpc-js encodes binary values itself.
    metadata.set(key, key.endsWith('-bin') ? Buffer.from(value, 'base64') : value)
  }
  return metadata
}
