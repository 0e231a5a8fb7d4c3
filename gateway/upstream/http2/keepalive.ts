import type { KeepaliveOptions } from '../transport.ts'

export interface KeepalivePeer {
  /** Whether calls are in flight. */
  hasCalls(): boolean
  ping(): void
  /** Nothing was received within `timeoutMs` of a PING. */
  onTimeout(): void
}

/**
 * Detects a dead connection, such as after a power loss or when a firewall has dropped its state: sends a PING if nothing
 * was received for `intervalMs`, and reports a timeout if nothing is received for another `timeoutMs`.
 */
export class Keepalive {
  readonly #options: KeepaliveOptions
  readonly #peer: KeepalivePeer
  #timer: NodeJS.Timeout | undefined
  #received = false

  constructor(options: KeepaliveOptions, peer: KeepalivePeer) {
    this.#options = options
    this.#peer = peer
  }

  start(): void {
    this.#received = false
    this.#timer = setTimeout(() => this.#check(), this.#options.intervalMs).unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  /** Call for any bytes received: they prove that the peer is alive. */
  onReceived(): void {
    this.#received = true
  }

  #check(): void {
    if (this.#received || !(this.#options.withoutCalls || this.#peer.hasCalls())) {
      this.start()
      return
    }
    this.#peer.ping()
    this.#timer = setTimeout(() => this.#onPingTimer(), this.#options.timeoutMs).unref()
  }

  #onPingTimer(): void {
    if (this.#received) this.start()
    else this.#peer.onTimeout()
  }
}
