import { MAX_KEEPALIVE_INTERVAL_MS } from '../transport.ts'
import { type BackoffOptions, createBackoff } from './backoff.ts'
import { Connection, type ConnectionOptions } from './connection.ts'
import { type HealthWatch, watchHealth } from './health-watch.ts'
import type { RequestHeads } from './request-head.ts'
import { endpointName } from './resolver.ts'
import type { Endpoint } from './socket.ts'

export interface SubchannelOptions {
  connection: ConnectionOptions
  backoff: BackoffOptions
  heads: RequestHeads
  /** The service that grpc.health.v1 is asked about; undefined: a connection is enough. */
  healthService: string | undefined
}

export interface SubchannelEvents {
  onState(): void
  /** A connection that was full may have room. */
  onRoom(): void
  /** @param reason for a log; it names the address. */
  onTrouble(reason: Error): void
}

/** `failing` from an attempt that failed to the next that works, or while the server says that it does not serve. */
export type SubchannelState = 'connecting' | 'ready' | 'failing' | 'closed'

/** One address: a connection to it, made anew whenever it is lost. */
export interface Subchannel {
  readonly state: SubchannelState
  /** While ready. */
  readonly connection: Connection | undefined
  /** Finishes the calls under way. */
  close(): void
}

/** A server that hangs up sooner is not dialled again at once. */
const MIN_LIFETIME_MS = 1000
// The answer of gRPC servers to pings that come too often for them.
const TOO_MANY_PINGS = 'ENHANCE_YOUR_CALM too_many_pings'

export function createSubchannel(endpoint: Endpoint, options: SubchannelOptions, events: SubchannelEvents): Subchannel {
  const backoff = createBackoff(options.backoff)
  let state: SubchannelState = 'connecting'
  let connection: Connection | undefined
  let health: HealthWatch | undefined
  let openedAt: number | undefined
  let timer: NodeJS.Timeout | undefined
  let keepaliveMs = options.connection.keepalive.intervalMs

  function become(next: SubchannelState): void {
    if (state === 'closed' || (state === next && next !== 'ready')) return
    state = next
    events.onState()
  }

  function dial(): void {
    const keepalive = { ...options.connection.keepalive, intervalMs: keepaliveMs }
    const dialled = new Connection(
      endpoint,
      { ...options.connection, keepalive },
      {
        onOpen() {
          openedAt = performance.now()
          if (options.healthService === undefined) become('ready')
          else health = watchHealth(dialled, options.heads, options.healthService, onHealth)
        },
        onRoom: events.onRoom,
        onDraining(reason) {
          if (reason.endsWith(TOO_MANY_PINGS)) keepaliveMs = Math.min(keepaliveMs * 2, MAX_KEEPALIVE_INTERVAL_MS)
          lose(dialled, reason)
        },
        onClose: reason => lose(dialled, reason?.message ?? 'The connection was closed', reason),
      },
    )
    connection = dialled
    function onHealth(serving: boolean): void {
      if (connection === dialled) become(serving ? 'ready' : 'failing')
    }
  }

  function lose(lost: Connection, reason: string, cause?: Error): void {
    if (connection !== lost || state === 'closed') return
    const lifetime = openedAt === undefined ? undefined : performance.now() - openedAt
    connection = undefined
    openedAt = undefined
    health?.stop()
    health = undefined
    events.onTrouble(new Error(`${endpointName(endpoint)}: ${reason}`, { cause }))
    if (lifetime !== undefined && lifetime >= MIN_LIFETIME_MS) {
      backoff.reset()
      dial()
    } else {
      timer = setTimeout(dial, backoff.next()).unref()
    }
    become(lifetime === undefined ? 'failing' : 'connecting')
  }

  dial()
  return {
    get state() {
      return state
    },
    get connection() {
      return state === 'ready' ? connection : undefined
    },
    close() {
      state = 'closed'
      clearTimeout(timer)
      health?.stop()
      connection?.drain()
    },
  }
}
