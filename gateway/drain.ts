import { setTimeout as delay, setImmediate as nextRound } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'

/** Milliseconds between two looks for connections that have nothing to do any more. */
const LOOK_MS = 50
/** Milliseconds after the port is left in which a connection that was just accepted brings its first request. */
const FIRST_REQUEST_MS = 200

/**
 * Lets the process end: while it stops, each answer tells its client to use another connection, and a connection that has
 * become idle is closed, but none before it had time for its first request.
 *
 * Left to itself, Node closes what is idle once, at the moment of `close`. That resets a connection which was accepted and not
 * read yet, so a request fails; and a pooled one whose answer comes later holds the process for the whole keep-alive timeout.
 */
export function registerDrain(app: FastifyInstance, isStopping: () => boolean): void {
  let isClosing = false

  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isStopping() || isClosing) reply.header('connection', 'close')
    done(null, payload)
  })

  app.addHook('preClose', async () => {
    isClosing = true
    const { server } = app
    const closeIdle = server.closeIdleConnections.bind(server)
    // `close` of node:http begins with it, before it leaves the port.
    server.closeIdleConnections = () => {}
    let isClosed = false
    server.once('close', () => {
      isClosed = true
    })
    void closeLater()

    async function closeLater(): Promise<void> {
      await delay(FIRST_REQUEST_MS)
      // After a long pause the time is over before anything was read.
      await nextRound()
      for (; !isClosed; await delay(LOOK_MS)) closeIdle()
    }
  })
}
