/**
 * Unary gRPC calls over this project's own HTTP/2 client, which implements only what the gateway needs, at a fraction of
 * the CPU of @grpc/grpc-js (compared in test/bench/transport.ts). Server streams use grpc-js/stream-transport.ts.
 */
import type { Logger } from '#runtime/observability/logger.ts'
import { limitRepeatedWarnings } from '#runtime/observability/repeated-warnings.ts'
import { unavailable } from '#runtime/status.ts'
import { SINGLE_CALL } from '../call-policy.ts'
import { checkHealth } from '../health.ts'
import type { TlsCredentials } from '../tls-credentials.ts'
import { KEEPALIVE_DEFAULTS, type KeepaliveOptions, type Transport, type TransportObserver } from '../transport.ts'
import type { BackoffOptions } from './backoff.ts'
import { Channel, type ChannelEjection } from './channel.ts'
import { DeadlineTimer } from './deadline-timer.ts'
import { ForeignProtocolError } from './foreign-protocol.ts'
import { createRequestHeaderEncoder } from './request-headers.ts'
import { type LookUp, lookUpName } from './resolver.ts'
import { createResponseHeaderReader } from './response-headers.ts'
import type { RetryOptions, RetryOutcome } from './retry-policy.ts'
import { parseTarget } from './target.ts'
import { UnaryCall, type UnaryCallDependencies } from './unary-call.ts'

export interface Http2TransportOptions {
  /** The gRPC target: `dns:///auth-svc:50051`, `127.0.0.1:50051`, or several addresses separated by commas. */
  address: string
  /** Maximum length of one response message, in bytes. A longer one fails its call with RESOURCE_EXHAUSTED. */
  maxMessageLength: number
  /** Default: plain text. */
  tls?: TlsCredentials | undefined
  /** Default `KEEPALIVE_DEFAULTS`. */
  keepalive?: KeepaliveOptions
  /** Service ('' for the whole server) that servers must report as SERVING to get calls. Default: no health checking. */
  healthService?: string | undefined
  /** Logs resolution and connection failures. Default: no log. */
  logger?: Pick<Logger, 'warn'>
  /** Name of the upstream, for the log. Default `address`. */
  name?: string
  /** The file that sets `address`, for the log. */
  file?: string
  observer?: TransportObserver | undefined
  /** Retries by policy. Default: none; calls that no server has processed are repeated always. */
  retries?: RetryOptions | undefined
  /** Called with what follows each failed attempt that may be repeated. */
  onRetry?: ((outcome: RetryOutcome) => void) | undefined
  /** Outlier ejection. Default: none. */
  ejection?: ChannelEjection | undefined
  limits?: Partial<Http2TransportLimits>
  /** Default: the system's resolver. */
  lookUp?: LookUp
}

export interface Http2TransportLimits {
  /** Timeout for the TCP and TLS handshakes and the peer's SETTINGS together, in milliseconds. Default 2,000. */
  connectTimeoutMs: number
  /** Time between two lookups of the target's names, in milliseconds. Default 30,000. */
  resolveIntervalMs: number
  /** Delays after a failed connection attempt or lookup. Default 100 ms to 1 s, so that a restarted server is used within a second. */
  backoff: BackoffOptions
  /** Maximum number of open streams per connection. Default 1,000. Further calls are queued. */
  maxConcurrentStreams: number
  /** Maximum number of queued calls. Default 1,000. Further ones fail with UNAVAILABLE. */
  maxWaitingCalls: number
  /** Maximum bytes of unfinished responses per connection. Default 64 MiB. The call that exceeds it is UNAVAILABLE. */
  maxBufferedLength: number
  /** Maximum size of the headers of a response, in octets as RFC 9113 section 6.5.2 counts. Default 32 KiB. */
  maxHeaderListSize: number
}

const DEFAULTS: Http2TransportLimits = {
  connectTimeoutMs: 2000,
  resolveIntervalMs: 30_000,
  backoff: { initialMs: 100, maxMs: 1000 },
  maxConcurrentStreams: 1000,
  maxWaitingCalls: 1000,
  maxBufferedLength: 64 * 1024 * 1024,
  maxHeaderListSize: 32 * 1024,
}

/** Checks an address as `createHttp2Transport` does, without a connection. @throws TypeError if it is invalid. */
export function assertAddress(address: string): void {
  createRequestHeaderEncoder({ authority: parseTarget(address).authority, secure: false, userAgent: '' })
}

/** Creates a transport and connects at once. @throws TypeError for an invalid address. */
export function createHttp2Transport(options: Http2TransportOptions): Transport {
  const { address, maxMessageLength, tls, healthService, logger, observer, lookUp = lookUpName } = options
  const limits = { ...DEFAULTS, ...options.limits }
  const target = parseTarget(address)
  const secure = tls && { ...tls, serverName: tls.serverName ?? target.host }
  const headerEncoder = createRequestHeaderEncoder({
    authority: target.authority,
    secure: secure !== undefined,
    userAgent: 'gatehouse',
  })
  const channel = new Channel({
    target,
    resolver: { lookUp, intervalMs: limits.resolveIntervalMs, backoff: limits.backoff },
    subchannel: {
      connection: {
        ...limits,
        tls: secure,
        keepalive: options.keepalive ?? KEEPALIVE_DEFAULTS,
        maxMessageLength,
        headerReader: createResponseHeaderReader(limits.maxHeaderListSize),
      },
      backoff: limits.backoff,
      headerEncoder,
      healthService,
    },
    maxWaiting: limits.maxWaitingCalls,
    ejection: options.ejection,
    onFailure: logger === undefined ? () => {} : createFailureLog(logger, options),
  })
  const calls = new DeadlineTimer<UnaryCall>()
  let onIdle: (() => void) | undefined
  const dependencies: UnaryCallDependencies = {
    channel,
    calls,
    headerEncoder,
    maxMessageLength,
    observer,
    retries: options.retries,
    onRetry: options.onRetry ?? (() => {}),
    onSettled() {
      if (onIdle !== undefined && calls.size === 0) onIdle()
    },
  }
  let closed: Promise<void> | undefined

  const transport: Transport = {
    address,
    unary(method, message, metadata, deadline, cancellation, observer, policy = SINGLE_CALL) {
      if (closed !== undefined) return Promise.reject(unavailable('The transport is closed'))
      return new Promise((resolve, reject) => {
        new UnaryCall(dependencies, {
          method,
          message,
          metadata,
          deadline,
          cancellation,
          observer,
          policy,
          resolve,
          reject,
        }).start()
      })
    },
    state: () => ({ connections: channel.readyCount, calls: calls.size, waitingCalls: channel.waitingCount }),
    isServing: () => checkHealth(transport, healthService),
    close() {
      closed ??= new Promise<void>(resolve => {
        onIdle = resolve
        dependencies.onSettled()
      }).then(() => channel.close())
      return closed
    },
  }
  return transport
}

/** A server that stays down fails once a second. */
function createFailureLog(
  logger: Pick<Logger, 'warn'>,
  { address, name: upstream = address, file }: Http2TransportOptions,
): (reason: Error) => void {
  const warn = limitRepeatedWarnings(logger)
  return reason => {
    // The message names the server.
    const { message, cause } = reason
    if (cause instanceof ForeignProtocolError) {
      const cure = file === undefined ? message : `${message} in ${file}`
      warn(message, { upstream, address, file }, `upstream ${upstream} is misconfigured: ${cure}`)
    } else warn(message, { err: reason, upstream, address }, 'upstream connection failed')
  }
}
