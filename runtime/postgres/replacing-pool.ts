/** A connection pool that replaces connections on which no reply arrives. */
import { Socket } from 'node:net'
import pg from 'pg'
import { isReadTimeout } from './errors.ts'

/** @param sentAt time of `performance.now()` at which the statement without a reply was sent. */
export type OnNoReply = (sentAt: number) => void

/**
 * pg rejects a statement after `query_timeout` and keeps its connection. PostgreSQL itself ends a slow statement earlier
 * (`statement_timeout`), so the connection is half-open or its server hangs. This class ends it.
 */
class ReplacingClient extends pg.Client {
  readonly #socket: Socket
  #inFlight = 0
  #repliedAt = performance.now()
  #timeout: Error | undefined
  onNoReply: OnNoReply | undefined

  constructor(config: pg.ClientConfig) {
    const socket = new Socket()
    super({ ...config, stream: () => socket })
    this.#socket = socket
  }

  /** Ends the connection, unless a statement is in flight, which has its own timeout, or a reply arrived since then. */
  endSilent(sentAt: number): void {
    if (this.#inFlight === 0 && this.#repliedAt < sentAt) this.#socket.destroy(new Error(NO_REPLY))
  }

  /** This signature is assignable to all overloads of pg. */
  override query(...args: never[]): never {
    // The rollback of a transaction fails as its statement did.
    if (this.#timeout !== undefined) return Promise.reject(this.#timeout) as never
    const sentAt = performance.now()
    this.#inFlight++
    const settle = (error?: unknown) => {
      this.#inFlight--
      if (isReadTimeout(error)) this.#handleTimeout(error, sentAt)
      else this.#repliedAt = performance.now()
    }
    const callback: unknown = args.at(-1)
    if (typeof callback === 'function') {
      const settled = (error: unknown, result: unknown) => {
        settle(error)
        callback(error, result)
      }
      return Reflect.apply(super.query, this, [...args.slice(0, -1), settled]) as never
    }
    const reply: Promise<unknown> = Reflect.apply(super.query, this, args)
    // Registered first, so that the pool does not get the connection back before it is marked as ended.
    reply.then(() => settle(), settle)
    return reply as never
  }

  #handleTimeout(error: Error, sentAt: number): void {
    this.#timeout = error
    // With a statement in flight, `end` destroys the socket. The pool drops a client that is ending.
    void this.end()
    this.onNoReply?.(sentAt)
  }
}

const NO_REPLY = 'Connection terminated: no reply to another statement'

/** A pool whose clients end when a statement gets no reply within `query_timeout`. */
export class ReplacingPool extends pg.Pool {
  readonly #clients = new Set<ReplacingClient>()

  /**
   * @param onLost called with the error of a lost connection, idle or not.
   * @param onNoReply called after a statement got no reply. Default: `endSilent`.
   */
  constructor(config: pg.PoolConfig, onLost: (error: Error) => void, onNoReply?: OnNoReply) {
    super({ ...config, Client: ReplacingClient as unknown as new () => pg.ClientBase })
    // The pool reports errors of idle connections only. An unhandled error event of a connection that is in use, between
    // two statements, would end the process.
    this.on('connect', (client: unknown) => {
      if (!(client instanceof ReplacingClient)) return
      client.on('error', onLost)
      client.onNoReply = onNoReply ?? (sentAt => this.endSilent(sentAt))
      this.#clients.add(client)
    })
    this.on('error', () => {})
    this.on('remove', (client: unknown) => this.#clients.delete(client as ReplacingClient))
  }

  /** Ends the connections on which no reply has arrived since `sentAt` and no statement is in flight. */
  endSilent(sentAt: number): void {
    for (const client of this.#clients) client.endSilent(sentAt)
  }
}
