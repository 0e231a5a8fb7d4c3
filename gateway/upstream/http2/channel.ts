/** The connections to an upstream and which of them the next call takes: round robin over those that are ready. */
import type { StatusError } from '#runtime/status.ts'
import { NotProcessedError } from '../transport.ts'
import { type AddressWatch, type AddressWatchOptions, watchAddresses } from './address-watch.ts'
import type { Connection } from './connection.ts'
import { endpointName, type Target } from './resolver.ts'
import type { Endpoint } from './socket.ts'
import { createSubchannel, type Subchannel, type SubchannelOptions } from './subchannel.ts'

/** A call as the channel sees it. */
export interface ChannelCall {
  start(connection: Connection): void
  fail(error: StatusError): void
}

export interface ChannelOptions {
  target: Target
  addresses: AddressWatchOptions
  subchannel: SubchannelOptions
  /** Calls that wait for a connection or for room on one. */
  maxWaiting: number
  /** For a log. */
  onTrouble(reason: Error): void
}

export class Channel {
  readonly #options: ChannelOptions
  readonly #watch: AddressWatch
  readonly #subchannels = new Map<string, Subchannel>()
  readonly #waiting = new Set<ChannelCall>()
  #ready: Connection[] = []
  #next = 0
  #lastTrouble: Error | undefined
  #resolved = false

  constructor(options: ChannelOptions) {
    this.#options = options
    this.#watch = watchAddresses(options.target, options.addresses, {
      onAddresses: addresses => this.#onAddresses(addresses),
      onTrouble: error => {
        this.#resolved = true
        this.#onTrouble(error)
        this.#serveWaiting()
      },
    })
  }

  /** Connections that take calls. */
  get readyCount(): number {
    return this.#ready.length
  }

  get waitingCount(): number {
    return this.#waiting.size
  }

  /** Starts the call, keeps it until there is room for it, or fails it: never with a call half begun. */
  dispatch(call: ChannelCall): void {
    const connection = this.#pick()
    if (connection !== undefined) call.start(connection)
    else if (!this.#mayBecomeReady()) call.fail(this.#unreachable())
    else if (this.#waiting.size >= this.#options.maxWaiting) {
      call.fail(new NotProcessedError('Too many calls wait for the upstream'))
    } else this.#waiting.add(call)
  }

  /** The call is not to be started any more. */
  forget(call: ChannelCall): void {
    this.#waiting.delete(call)
  }

  /** Lets go of the connections, which finish what is under way. */
  close(): void {
    this.#watch.stop()
    for (const subchannel of this.#subchannels.values()) subchannel.close()
    this.#subchannels.clear()
    this.#ready = []
  }

  #pick(): Connection | undefined {
    const ready = this.#ready
    for (let tried = 0; tried < ready.length; tried++) {
      const connection = ready[this.#next++ % ready.length] as Connection
      if (connection.hasRoom) return connection
    }
    return undefined
  }

  /** While a connection is being made for the first time, or after one that worked, it is worth to wait for it. */
  #mayBecomeReady(): boolean {
    if (!this.#resolved || this.#ready.length > 0) return true
    for (const { state } of this.#subchannels.values()) if (state === 'connecting') return true
    return false
  }

  #onAddresses(addresses: readonly Endpoint[]): void {
    this.#resolved = true
    const wanted = new Map(addresses.map(endpoint => [endpointName(endpoint), endpoint]))
    for (const [name, subchannel] of this.#subchannels) {
      if (wanted.has(name)) continue
      this.#subchannels.delete(name)
      subchannel.close()
    }
    for (const [name, endpoint] of wanted) {
      if (!this.#subchannels.has(name)) this.#subchannels.set(name, this.#open(endpoint))
    }
    this.#onState()
  }

  #open(endpoint: Endpoint): Subchannel {
    return createSubchannel(endpoint, this.#options.subchannel, {
      onState: () => this.#onState(),
      onRoom: () => {
        if (this.#waiting.size > 0) this.#serveWaiting()
      },
      onTrouble: reason => {
        this.#onTrouble(reason)
        this.#watch.refresh()
      },
    })
  }

  #onState(): void {
    this.#ready = []
    for (const { connection } of this.#subchannels.values()) if (connection !== undefined) this.#ready.push(connection)
    this.#serveWaiting()
  }

  #serveWaiting(): void {
    for (const call of this.#waiting) {
      const connection = this.#pick()
      if (connection === undefined) break
      this.#waiting.delete(call)
      call.start(connection)
    }
    if (this.#waiting.size === 0 || this.#mayBecomeReady()) return
    const unreachable = this.#unreachable()
    for (const call of this.#waiting) {
      this.#waiting.delete(call)
      call.fail(unreachable)
    }
  }

  #onTrouble(reason: Error): void {
    this.#lastTrouble = reason
    this.#options.onTrouble(reason)
  }

  /** Its message may reach a client, and names no address; its cause does. */
  #unreachable(): StatusError {
    return new NotProcessedError('The upstream cannot be reached', this.#lastTrouble)
  }
}
