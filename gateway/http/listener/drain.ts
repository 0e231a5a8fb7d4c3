/**
 * Closes the connections of clients while the gateway drains. `server.close()` of Node closes idle connections only once,
 * which resets one that was accepted but not read yet or whose client reads the response slowly; a keep-alive connection
 * whose response is sent later delays the exit until the keep-alive timeout.
 */
import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as nextIteration } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Connection } from './listener.ts'

/** Interval in milliseconds between two checks for idle connections. */
const CHECK_INTERVAL_MS = 50
/** Time in milliseconds for an open connection to send a request. The client may have connected just before. */
const REQUEST_TIMEOUT_MS = 200
/** Maximum time in milliseconds between two chunks of a request body. */
const BODY_TIMEOUT_MS = 5000

interface Activity {
  bytesRead: number
  /** Time of the start of the drain, or of the check that last saw `bytesRead` change, in milliseconds. */
  lastReadAt: number
}

/**
 * Adds `Connection: close` to each response while the gateway drains, and closes idle connections when `app` closes: those
 * without a request for 200 ms, or without a chunk of an incomplete body for 5 s. Aborts no completely received request.
 * @param isDraining whether the drain has started, which is before `app.close()` is called.
 */
export function registerDrain(
  app: FastifyInstance,
  connections: ReadonlyMap<Socket, Connection>,
  isDraining: () => boolean,
): void {
  const { server } = app
  let isClosing = false

  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isDraining() || isClosing) reply.header('connection', 'close')
    done(null, payload)
  })

  app.addHook('preClose', async () => {
    isClosing = true
    // No `close` event follows.
    if (!server.listening) return
    // `server.close()` calls this method before it stops listening.
    server.closeIdleConnections = () => {}
    const activities = new WeakMap<Socket, Activity>()
    observe(performance.now())
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
        observe(now)
        for (const connection of connections.values()) {
          const { socket } = connection
          if (isIdle(connection, now - (activities.get(socket) as Activity).lastReadAt)) socket.destroy()
        }
      }
    }

    function observe(now: number): void {
      for (const socket of connections.keys()) {
        const { bytesRead } = socket
        if (activities.get(socket)?.bytesRead !== bytesRead) activities.set(socket, { bytesRead, lastReadAt: now })
      }
    }
  })
}

function isIdle({ socket, response }: Connection, idleMs: number): boolean {
  if (response === undefined) return idleMs >= REQUEST_TIMEOUT_MS
  // While the socket is paused, its client cannot send the rest of a body.
  return !response.req.complete && !socket.isPaused() && idleMs >= BODY_TIMEOUT_MS
}
