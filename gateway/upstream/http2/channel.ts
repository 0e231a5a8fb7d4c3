/**
 * A channel to an upstream, as gRPC defines it: resolves the target, keeps one subchannel per address, and distributes
 * calls over the ready ones (round_robin). Calls that find no capacity are queued.
 */
import type { StatusError } from '#runtime/status.ts'
import { upstreamOverloaded } from '../circuit-breaker.ts'
import { NotProcessedError } from '../transport.ts'
import type { Connection } from './connection.ts'
import { type AddressStates, type EjectionEvents, type EjectionOptions, OutlierEjection } from './outlier-ejection.ts'
import { createResolver, type Resolver, type ResolverOptions } from './resolver.ts'
import { createSubchannel, type Subchannel, type SubchannelOptions } from './subchannel.ts'
import { type Endpoint, endpointName, type Target } from './target.ts'

/** A call that waits for a connection. The channel calls one of the methods once. */
export interface ChannelCall {
  /** Sends the call. `connection.hasCapacity` is true. */
  sendOn(connection: Connection): void
  fail(error: StatusError): void
}

/** Settings of outlier ejection, and the records of the addresses. */
export interface ChannelEjection extends EjectionOptions, Pick<EjectionEvents, 'onEjection'> {
  states: AddressStates
}

export interface ChannelOptions {
  target: Target
  resolver: ResolverOptions
  subchannel: SubchannelOptions
  /** Maximum number of queued calls. Further ones fail with UNAVAILABLE. */
  maxWaiting: number
  /** Default: addresses are not ejected. */
  ejection?: ChannelEjection | undefined
  /** Called with every resolution or connection failure, for the log. */
  onFailure(reason: Error): void
}

export class Channel {
  readonly #options: ChannelOptions
  readonly #resolver: Resolver
  readonly #subchannels = new Map<string, Subchannel>()
  readonly #waiting = new Set<ChannelCall>()
  readonly #ejection: OutlierEjection | undefined
  /** The connections that get calls. */
  #ready: readonly Connection[] = []
  #next = 0
  #lastFailure: Error | undefined
  #isResolved = false

  /** Connects at once. */
  constructor(options: ChannelOptions) {
    this.#options = options
    const { ejection } = options
    if (ejection !== undefined) {
      const onChange = () => this.#onStateChange()
      this.#ejection = new OutlierEjection(ejection, ejection.states, { ...ejection, onChange })
    }
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

  /**
   * Sends the call on a ready connection, queues it, or fails it with a NotProcessedError or `upstream_overloaded`.
   * @param avoid address that gets the call only if no other is ready: that of the attempt before.
   */
  dispatch(call: ChannelCall, avoid?: string): void {
    const connection = (avoid === undefined ? undefined : this.#pickOther(avoid)) ?? this.#pick()
    if (connection !== undefined) call.sendOn(connection)
    else if (!this.#canQueue()) call.fail(this.#unreachable())
    else if (this.#waiting.size >= this.#options.maxWaiting) {
      call.fail(upstreamOverloaded('Too many calls are waiting for the upstream. Retry later.'))
    } else this.#waiting.add(call)
  }

  remove(call: ChannelCall): void {
    this.#waiting.delete(call)
  }

  /** Records that a call failed because of the server. */
  recordFailure(server: string): void {
    this.#ejection?.recordFailure(server)
  }

  /** Drains all connections: calls in flight finish. */
  close(): void {
    this.#resolver.close()
    this.#ejection?.close()
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

  #pickOther(avoid: string): Connection | undefined {
    for (let tried = this.#ready.length; tried > 0; tried--) {
      const connection = this.#pick()
      if (connection === undefined || connection.server !== avoid) return connection
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
    this.#ejection?.setAddresses(new Set(current.keys()))
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
    const { subchannel } = this.#options
    const addressState = this.#ejection?.stateOf(endpointName(endpoint))
    const options = { ...subchannel, connection: { ...subchannel.connection, addressState } }
    return createSubchannel(endpoint, options, {
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
    const ready: Connection[] = []
    for (const { connection } of this.#subchannels.values()) if (connection !== undefined) ready.push(connection)
    this.#ready = this.#ejection?.filter(ready) ?? ready
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
