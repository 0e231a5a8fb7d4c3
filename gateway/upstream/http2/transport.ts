/**
 * Unary gRPC over our own HTTP/2 client. It does what a gateway needs of one and nothing else, at a fraction of the cost
 * of a general client (test/bench/transport.ts measures it beside @grpc/grpc-js); streams go by grpc-js.
 */
import type { Logger } from '#runtime/observability/logger.ts'
import { unavailable } from '#runtime/status.ts'
import { askHealth } from '../health.ts'
import type { TlsCredentials } from '../tls-credentials.ts'
import { KEEPALIVE_DEFAULTS, type KeepaliveOptions, type Transport, type TransportObserver } from '../transport.ts'
import type { BackoffOptions } from './backoff.ts'
import { Channel } from './channel.ts'
import { DeadlineWatch } from './deadline-watch.ts'
import { createRequestHeads } from './request-head.ts'
import { type LookUp, lookUpName, parseTarget } from './resolver.ts'
import { createResponseHeadReader } from './response-head.ts'
import { UnaryCall, type UnaryCallDependencies } from './unary-call.ts'

export interface Http2TransportOptions {
  /** As gRPC names it: `dns:///auth-svc:50051`, `127.0.0.1:50051`, or several with commas between them. */
  address: string
  /** Bytes of one response at most. */
  maxMessageLength: number
  /** Absent: plain text. */
  tls?: TlsCredentials | undefined
  keepalive?: KeepaliveOptions
  /** Asks each server by grpc.health.v1 whether it serves this service ('': as a whole), and obeys. Absent: does not ask. */
  healthService?: string | undefined
  logger?: Pick<Logger, 'warn'>
  observer?: TransportObserver | undefined
  /** What is not given has the defaults of `DEFAULTS`. */
  limits?: Partial<Http2TransportLimits>
  lookUp?: LookUp
}

/** Times in milliseconds, sizes in bytes. */
export interface Http2TransportLimits {
  connectTimeoutMs: number
  resolveIntervalMs: number
  backoff: BackoffOptions
  maxConcurrentStreams: number
  maxWaitingCalls: number
  maxBufferedLength: number
  maxHeaderListSize: number
}

const DEFAULTS: Http2TransportLimits = {
  connectTimeoutMs: 2000,
  resolveIntervalMs: 30_000,
  // A service that was restarted is found again within a second.
  backoff: { initialMs: 100, maxMs: 1000 },
  maxConcurrentStreams: 1000,
  maxWaitingCalls: 1000,
  maxBufferedLength: 64 * 1024 * 1024,
  maxHeaderListSize: 32 * 1024,
}

/** @throws TypeError for an address that cannot be read. */
export function createHttp2Transport(options: Http2TransportOptions): Transport {
  const { address, maxMessageLength, tls, healthService, logger, observer, lookUp = lookUpName } = options
  const limits = { ...DEFAULTS, ...options.limits }
  const target = parseTarget(address)
  const secure = tls && { ...tls, serverName: tls.serverName ?? target.host }
  const heads = createRequestHeads({
    authority: target.authority,
    secure: secure !== undefined,
    userAgent: 'gatehouse',
  })
  const channel = new Channel({
    target,
    addresses: { lookUp, intervalMs: limits.resolveIntervalMs, backoff: limits.backoff },
    subchannel: {
      connection: {
        ...limits,
        tls: secure,
        keepalive: options.keepalive ?? KEEPALIVE_DEFAULTS,
        maxMessageLength,
        heads: createResponseHeadReader(limits.maxHeaderListSize),
      },
      backoff: limits.backoff,
      heads,
      healthService,
    },
    maxWaiting: limits.maxWaitingCalls,
    onTrouble: err => logger?.warn({ err, upstream: address }, 'upstream connection'),
  })
  const calls = new DeadlineWatch<UnaryCall>()
  let onIdle: (() => void) | undefined
  const dependencies: UnaryCallDependencies = {
    channel,
    calls,
    heads,
    maxMessageLength,
    observer,
    onSettled() {
      if (onIdle !== undefined && calls.size === 0) onIdle()
    },
  }
  let closed: Promise<void> | undefined

  const transport: Transport = {
    address,
    unary(method, message, metadata, deadline, cancellation, observer) {
      if (closed !== undefined) return Promise.reject(unavailable('The transport is closed'))
      return new Promise((resolve, reject) => {
        new UnaryCall(dependencies, {
          method,
          message,
          metadata,
          deadline,
          cancellation,
          observer,
          resolve,
          reject,
        }).begin()
      })
    },
    state: () => ({ connections: channel.readyCount, calls: calls.size, waitingCalls: channel.waitingCount }),
    isServing: () => askHealth(transport, healthService),
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
