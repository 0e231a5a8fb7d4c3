/**
 * Unary gRPC over our own HTTP/2 client. It does what a gateway needs of one and nothing else, at a fraction of the cost
 * of a general client (test/bench/transport.ts measures it beside @grpc/grpc-js); streams go by grpc-js.
 */
import type { Logger } from '#runtime/logger.ts'
import { unavailable } from '#runtime/status.ts'
import { askHealth } from '../health.ts'
import type { Transport, TransportObserver } from '../transport.ts'
import type { BackoffOptions } from './backoff.ts'
import { Channel } from './channel.ts'
import type { ConnectionOptions } from './connection.ts'
import { DeadlineWatch } from './deadline-watch.ts'
import { createRequestHeads } from './request-head.ts'
import { type LookUp, lookUpName, parseTarget } from './resolver.ts'
import { createResponseHeadReader } from './response-head.ts'
import type { TlsSettings } from './socket.ts'
import { UnaryCall, type UnaryCallDependencies } from './unary-call.ts'

export interface Http2TransportOptions {
  /** As gRPC names it: `dns:///auth-svc:50051`, `127.0.0.1:50051`, or several with commas between them. */
  address: string
  /** Bytes of one response at most. */
  maxMessageLength: number
  /** Absent: plain text. */
  tls?: Partial<TlsSettings>
  /** Asks each server by grpc.health.v1 whether it serves this service ('': as a whole), and obeys. Absent: does not ask. */
  healthService?: string
  logger?: Pick<Logger, 'warn'>
  observer?: TransportObserver | undefined
  /** What is not given has the defaults of `DEFAULTS`. */
  limits?: Partial<Http2TransportLimits>
  lookUp?: LookUp
}

/** Times in milliseconds, sizes in bytes. */
export interface Http2TransportLimits {
  connectTimeoutMs: number
  keepaliveIntervalMs: number
  keepaliveTimeoutMs: number
  keepaliveWithoutCalls: boolean
  resolveIntervalMs: number
  backoff: BackoffOptions
  maxConcurrentStreams: number
  maxWaitingCalls: number
  maxBufferedLength: number
  maxHeaderListSize: number
}

const DEFAULTS: Http2TransportLimits = {
  connectTimeoutMs: 2000,
  keepaliveIntervalMs: 10_000,
  keepaliveTimeoutMs: 2000,
  keepaliveWithoutCalls: false,
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
  const secure = tls && { serverName: target.host, ...tls }
  const heads = createRequestHeads({
    authority: target.authority,
    secure: secure !== undefined,
    userAgent: 'gatehouse',
  })
  const channel = new Channel({
    target,
    addresses: { lookUp, intervalMs: limits.resolveIntervalMs, backoff: limits.backoff },
    subchannel: {
      connection: connectionOptions(limits, maxMessageLength, secure),
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
        new UnaryCall(
          dependencies,
          method,
          message,
          metadata,
          deadline,
          cancellation,
          observer,
          resolve,
          reject,
        ).begin()
      })
    },
    state: () => ({ connections: channel.readyCount, calls: calls.size, waitingCalls: channel.waitingCount }),
    isServing: () => askHealth(transport),
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

function connectionOptions(
  limits: Http2TransportLimits,
  maxMessageLength: number,
  tls: TlsSettings | undefined,
): ConnectionOptions {
  return {
    tls,
    connectTimeoutMs: limits.connectTimeoutMs,
    keepalive: {
      intervalMs: limits.keepaliveIntervalMs,
      timeoutMs: limits.keepaliveTimeoutMs,
      withoutCalls: limits.keepaliveWithoutCalls,
    },
    maxConcurrentStreams: limits.maxConcurrentStreams,
    maxMessageLength,
    maxBufferedLength: limits.maxBufferedLength,
    maxHeaderListSize: limits.maxHeaderListSize,
    heads: createResponseHeadReader(limits.maxHeaderListSize),
  }
}
