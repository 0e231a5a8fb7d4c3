import { MAX_KEEPALIVE_INTERVAL_MS } from '../transport.ts'
import { type BackoffOptions, createBackoff } from './backoff.ts'
import { Connection, type ConnectionOptions } from './connection.ts'
import { type HealthWatch, watchHealth } from './health-watch.ts'
import type { RequestHeaderEncoder } from './request-headers.ts'
import { type Endpoint, endpointName } from './target.ts'

export interface SubchannelOptions {
  connection: ConnectionOptions
  /** Delays between connection attempts. */
  backoff: BackoffOptions
  headerEncoder: RequestHeaderEncoder
  /** The service whose health is watched; '' for the server as a whole. Undefined disables health checking. */
  healthService: string | undefined
}

export interface SubchannelEvents {
  onStateChange(): void
  /** The connection may have capacity again. */
  onCapacity(): void
  /** The connection was lost or could not be established. @param reason names the address. */
  onFailure(reason: Error): void
}

/**
 * Connectivity states of gRPC (https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md). A
 * subchannel is in `transient-failure` from a failed attempt until the next successful one, and while the server reports
 * NOT_SERVING.
 */
export type SubchannelState = 'connecting' | 'ready' | 'transient-failure' | 'shutdown'

/** One address of a channel. Keeps a connection to it and reconnects with backoff when the connection is lost. */
export interface Subchannel {
  readonly state: SubchannelState
  /** Undefined unless `ready`. */
  readonly connection: Connection | undefined
  /** Drains the connection: calls in flight finish. */
  close(): void
}

/** A connection that lasted less is retried with backoff, so that a server that hangs up at once is not flooded. */
const MIN_LIFETIME_MS = 1000
/** How gRPC servers reject keepalive pings that are too frequent. Then the interval is doubled, as in grpc-go. */
const TOO_MANY_PINGS = 'ENHANCE_YOUR_CALM too_many_pings'

/** Connects at once. */
export function createSubchannel(endpoint: Endpoint, options: SubchannelOptions, events: SubchannelEvents): Subchannel {
  const backoff = createBackoff(options.backoff)
  let state: SubchannelState = 'connecting'
  let connection: Connection | undefined
  let health: HealthWatch | undefined
  let openedAt: number | undefined
  let timer: NodeJS.Timeout | undefined
  let keepaliveMs = options.connection.keepalive.intervalMs

  function changeState(next: SubchannelState): void {
    if (state === 'shutdown' || (state === next && next !== 'ready')) return
    state = next
    events.onStateChange()
  }

  function connect(): void {
    const keepalive = { ...options.connection.keepalive, intervalMs: keepaliveMs }
    const connecting = new Connection(
      endpoint,
      { ...options.connection, keepalive },
      {
        onOpen() {
          openedAt = performance.now()
          if (options.healthService === undefined) changeState('ready')
          else health = watchHealth(connecting, options.headerEncoder, options.healthService, onHealth)
        },
        onCapacity: events.onCapacity,
        onDraining(reason) {
          if (reason.endsWith(TOO_MANY_PINGS)) keepaliveMs = Math.min(keepaliveMs * 2, MAX_KEEPALIVE_INTERVAL_MS)
          onLost(connecting, reason)
        },
        onClose: reason => onLost(connecting, reason?.message ?? 'The connection was closed', reason),
      },
    )
    connection = connecting
    function onHealth(serving: boolean): void {
      if (connection === connecting) changeState(serving ? 'ready' : 'transient-failure')
    }
  }

  function onLost(lost: Connection, reason: string, cause?: Error): void {
    if (connection !== lost || state === 'shutdown') return
    const lifetime = openedAt === undefined ? undefined : performance.now() - openedAt
    connection = undefined
    openedAt = undefined
    health?.stop()
    health = undefined
    events.onFailure(new Error(`${endpointName(endpoint)}: ${reason}`, { cause }))
    if (lifetime !== undefined && lifetime >= MIN_LIFETIME_MS) {
      backoff.reset()
      connect()
    } else {
      timer = setTimeout(connect, backoff.next()).unref()
    }
    changeState(lifetime === undefined ? 'transient-failure' : 'connecting')
  }

  connect()
  return {
    get state() {
      return state
    },
    get connection() {
      return state === 'ready' ? connection : undefined
    },
    close() {
      state = 'shutdown'
      clearTimeout(timer)
      health?.stop()
      connection?.drain()
    },
  }
}
