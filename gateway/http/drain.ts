/**
 * Closes the connections of clients while the gateway drains. `server.close()` of Node closes idle connections only once,
 * which resets one that was accepted but not read yet or whose client reads the response slowly; a keep-alive connection
 * whose response is sent later delays the exit until the keep-alive timeout.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as nextIteration } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'

/** Interval in milliseconds between two checks for idle connections. */
const CHECK_INTERVAL_MS = 50
/** Time in milliseconds for an open connection to send a request. The client may have connected just before. */
const REQUEST_TIMEOUT_MS = 200
/** Maximum time in milliseconds between two chunks of a request body. */
const BODY_TIMEOUT_MS = 5000

interface Connection {
  /** The latest response on the connection that is not closed. A closed one is released: it references the request. */
  response: ServerResponse | undefined
  bytesRead: number
  /** Time of the accept, of the start of the drain, or of the check that last saw `bytesRead` change, in milliseconds. */
  lastReadAt: number
}

/**
 * Adds `Connection: close` to each response while the gateway drains, and closes idle connections when `app` closes: those
 * without a request for 200 ms, or without a chunk of an incomplete body for 5 s. Aborts no completely received request.
 * @param isDraining whether the drain has started, which is before `app.close()` is called.
 */
export function registerDrain(app: FastifyInstance, isDraining: () => boolean): void {
  const { server } = app
  const connections = new Map<Socket, Connection>()
  let isClosing = false

  server.on('connection', (socket: Socket) => {
    connections.set(socket, { response: undefined, bytesRead: 0, lastReadAt: performance.now() })
    socket.once('close', () => connections.delete(socket))
  })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(request.socket)
    if (connection === undefined) return
    connection.response = response
    response.on('close', releaseResponse)
  })
  function releaseResponse(this: ServerResponse): void {
    const connection = connections.get(this.req.socket)
    if (connection?.response === this) connection.response = undefined
  }

  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isDraining() || isClosing) reply.header('connection', 'close')
    done(null, payload)
  })

  app.addHook('preClose', async () => {
    isClosing = true
    // `server.close()` calls this method before it stops listening.
    server.closeIdleConnections = () => {}
    const startedAt = performance.now()
    for (const connection of connections.values()) connection.lastReadAt = startedAt
    let isClosed = false
    server.once('close', () => {
      isClosed = true
    })
    void closeIdleConnections()

    async function closeIdleConnections(): Promise<void> {
      while (!isClosed) {
        await delay(CHECK_INTERVAL_MS)
        // If the event loop was blocked, sockets are read only in its next iteration.
        await nextIteration()
        const now = performance.now()
        for (const [socket, connection] of connections) {
          recordActivity(socket, connection, now)
          if (isIdle(connection, now)) socket.destroy()
        }
      }
    }
  })
}

function recordActivity({ bytesRead }: Socket, connection: Connection, now: number): void {
  if (bytesRead === connection.bytesRead) return
  connection.bytesRead = bytesRead
  connection.lastReadAt = now
}

function isIdle({ response, lastReadAt }: Connection, now: number): boolean {
  const idleMs = now - lastReadAt
  return response === undefined ? idleMs >= REQUEST_TIMEOUT_MS : !response.req.complete && idleMs >= BODY_TIMEOUT_MS
}
