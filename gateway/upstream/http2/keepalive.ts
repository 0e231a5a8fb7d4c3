import type { KeepaliveOptions } from '../transport.ts'

/** Finds out that a peer is gone which did not say so: its machine lost power, or a firewall forgot the connection. */
export class Keepalive {
  readonly #options: KeepaliveOptions
  readonly #hasCalls: () => boolean
  readonly #ping: () => void
  readonly #onDead: () => void
  #timer: NodeJS.Timeout | undefined
  #heard = false

  constructor(options: KeepaliveOptions, peer: { hasCalls(): boolean; ping(): void; onDead(): void }) {
    this.#options = options
    this.#hasCalls = peer.hasCalls
    this.#ping = peer.ping
    this.#onDead = peer.onDead
  }

  start(): void {
    this.#heard = false
    this.#timer = setTimeout(() => this.#ask(), this.#options.intervalMs).unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  /** Any byte of the peer shows that it is there. */
  heard(): void {
    this.#heard = true
  }

  #ask(): void {
    if (this.#heard || !(this.#options.withoutCalls || this.#hasCalls())) {
      this.start()
      return
    }
    this.#ping()
    this.#timer = setTimeout(() => (this.#heard ? this.start() : this.#onDead()), this.#options.timeoutMs).unref()
  }
}
