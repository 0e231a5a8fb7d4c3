/**
 * A channel to an upstream, as gRPC defines it: resolves the target, keeps one subchannel per address, and distributes
 * calls over the ready ones (round_robin). Calls that find no capacity are queued.
 */
import type { StatusError } from '#runtime/status.ts'
import { NotProcessedError } from '../transport.ts'
import type { Connection } from './connection.ts'
import { createResolver, type Resolver, type ResolverOptions } from './resolver.ts'
import { createSubchannel, type Subchannel, type SubchannelOptions } from './subchannel.ts'
import { type Endpoint, endpointName, type Target } from './target.ts'

/** A call that waits for a connection. The channel calls one of the methods once. */
export interface ChannelCall {
  /** Sends the call. `connection.hasCapacity` is true. */
  sendOn(connection: Connection): void
  fail(error: StatusError): void
}

export interface ChannelOptions {
  target: Target
  resolver: ResolverOptions
  subchannel: SubchannelOptions
  /** Maximum number of queued calls. Further ones fail with UNAVAILABLE. */
  maxWaiting: number
  /** Called with every resolution or connection failure, for the log. */
  onFailure(reason: Error): void
}

export class Channel {
  readonly #options: ChannelOptions
  readonly #resolver: Resolver
  readonly #subchannels = new Map<string, Subchannel>()
  readonly #waiting = new Set<ChannelCall>()
  #ready: Connection[] = []
  #next = 0
  #lastFailure: Error | undefined
  #isResolved = false

  /** Connects at once. */
  constructor(options: ChannelOptions) {
    this.#options = options
    this.#resolver = createResolver(options.target, options.resolver, {
      onAddresses: addresses => this.#onAddresses(addresses),
      onFailure: error => {
        this.#isResolved = true
        this.#onFailure(error)
        this.#serveWaiting()
      },
    })
  }

  get readyCount(): number {
    return this.#ready.length
  }

  get waitingCount(): number {
    return this.#waiting.size
  }

  /** Sends the call on a ready connection, queues it, or fails it with a NotProcessedError. */
  dispatch(call: ChannelCall): void {
    const connection = this.#pick()
    if (connection !== undefined) call.sendOn(connection)
    else if (!this.#canQueue()) call.fail(this.#unreachable())
    else if (this.#waiting.size >= this.#options.maxWaiting) {
      call.fail(new NotProcessedError('Too many calls are waiting for the upstream'))
    } else this.#waiting.add(call)
  }

  remove(call: ChannelCall): void {
    this.#waiting.delete(call)
  }

  /** Drains all connections: calls in flight finish. */
  close(): void {
    this.#resolver.close()
    for (const subchannel of this.#subchannels.values()) subchannel.close()
    this.#subchannels.clear()
    this.#ready = []
  }

  #pick(): Connection | undefined {
    const ready = this.#ready
    for (let tried = 0; tried < ready.length; tried++) {
      const connection = ready[this.#next++ % ready.length] as Connection
      if (connection.hasCapacity) return connection
    }
    return undefined
  }

  /**
   * Whether a call may wait. As for gRPC calls that are not wait-for-ready: yes while a connection is ready or being
   * established, no while all subchannels are in transient failure.
   */
  #canQueue(): boolean {
    if (!this.#isResolved || this.#ready.length > 0) return true
    for (const { state } of this.#subchannels.values()) if (state === 'connecting') return true
    return false
  }

  #onAddresses(addresses: readonly Endpoint[]): void {
    this.#isResolved = true
    const current = new Map(addresses.map(endpoint => [endpointName(endpoint), endpoint]))
    for (const [name, subchannel] of this.#subchannels) {
      if (current.has(name)) continue
      this.#subchannels.delete(name)
      subchannel.close()
    }
    for (const [name, endpoint] of current) {
      if (!this.#subchannels.has(name)) this.#subchannels.set(name, this.#open(endpoint))
    }
    this.#onStateChange()
  }

  #open(endpoint: Endpoint): Subchannel {
    return createSubchannel(endpoint, this.#options.subchannel, {
      onStateChange: () => this.#onStateChange(),
      onCapacity: () => {
        if (this.#waiting.size > 0) this.#serveWaiting()
      },
      onFailure: reason => {
        this.#onFailure(reason)
        this.#resolver.resolveNow()
      },
    })
  }

  #onStateChange(): void {
    this.#ready = []
    for (const { connection } of this.#subchannels.values()) if (connection !== undefined) this.#ready.push(connection)
    this.#serveWaiting()
  }

  #serveWaiting(): void {
    for (const call of this.#waiting) {
      const connection = this.#pick()
      if (connection === undefined) break
      this.#waiting.delete(call)
      call.sendOn(connection)
    }
    if (this.#waiting.size === 0 || this.#canQueue()) return
    const unreachable = this.#unreachable()
    for (const call of this.#waiting) {
      this.#waiting.delete(call)
      call.fail(unreachable)
    }
  }

  #onFailure(reason: Error): void {
    this.#lastFailure = reason
    this.#options.onFailure(reason)
  }

  /** Clients may see the message, so only its cause names the address. */
  #unreachable(): StatusError {
    return new NotProcessedError('The upstream is unreachable', this.#lastFailure)
  }
}
