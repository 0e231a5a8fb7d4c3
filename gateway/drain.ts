import type { FastifyInstance } from 'fastify'

/** Milliseconds between two looks for connections that have nothing to do any more. */
const LOOK_MS = 50

/**
 * Lets the process end: while it stops, each answer tells its client to use another connection, and a connection that has
 * become idle is closed. Node closes only those that are idle at the moment of `close`; a pooled connection whose answer
 * comes later would hold the process for the whole keep-alive timeout.
 */
export function registerDrain(app: FastifyInstance, isStopping: () => boolean): void {
  let isClosing = false

  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isStopping() || isClosing) reply.header('connection', 'close')
    done(null, payload)
  })

  app.addHook('preClose', async () => {
    isClosing = true
    const closing = setInterval(() => app.server.closeIdleConnections(), LOOK_MS)
    app.server.once('close', () => clearInterval(closing))
  })
}
