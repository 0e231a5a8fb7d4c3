/**
 * Closes the connections of clients while the gateway drains. `server.close()` of Node closes idle connections only once,
 * which resets one that was accepted but not read yet or whose client reads the response slowly; a keep-alive connection
 * whose response is sent later delays the exit until the keep-alive timeout.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as nextIteration } from 'node:timers/promises'
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
 * Stops listening and closes idle connections: those without a request for 200 ms, or without a chunk of an incomplete body
 * for 5 s. Aborts no completely received request. Resolves when all connections are closed.
 */
export async function closeWithConnections(
  server: Server,
  connections: ReadonlyMap<Socket, Connection>,
): Promise<void> {
  // No `close` event follows.
  if (!server.listening) return
  // `server.close()` calls this method before it stops listening.
  server.closeIdleConnections = () => {}
  const activities = new WeakMap<Socket, Activity>()
  observe(performance.now())
  let isClosed = false
  const closed = new Promise<void>(resolve => {
    server.close(() => {
      isClosed = true
      resolve()
    })
  })
  void closeIdleConnections()
  await closed

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
}

function isIdle({ socket, response }: Connection, idleMs: number): boolean {
  if (response === undefined) return idleMs >= REQUEST_TIMEOUT_MS
  // While the socket is paused, its client cannot send the rest of a body.
  return !response.req.complete && !socket.isPaused() && idleMs >= BODY_TIMEOUT_MS
}
