import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as nextRound } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'

/** Milliseconds between two looks for connections that have nothing to do any more. */
const LOOK_MS = 50
/** Milliseconds that a connection is given for its next request: it may just have been accepted. */
const REQUEST_MS = 200
/** Milliseconds for the next piece of a body. */
const BODY_MS = 5000

/** One that a client has opened. */
interface Connection {
  /** What is answered, or the last of what was asked at once; forgotten with its end, since it holds all of a request. */
  answer: ServerResponse | undefined
  bytesRead: number
  /** Since when nothing was read, as far as a look has seen. */
  quietSince: number
}

/**
 * Lets the process end: while it stops, each answer tells its client to use another connection, and a connection that has
 * nothing to do any more is closed.
 *
 * Left to itself, Node closes what it takes for idle once, at the moment of `close`. That resets a connection which was
 * accepted and not read yet, and one whose answer its client is slow to take; and a pooled one whose answer comes later holds
 * the process for the whole keep-alive timeout.
 */
export function registerDrain(app: FastifyInstance, isStopping: () => boolean): void {
  const { server } = app
  const connections = new Map<Socket, Connection>()
  let isClosing = false

  server.on('connection', (socket: Socket) => {
    connections.set(socket, { answer: undefined, bytesRead: 0, quietSince: 0 })
    socket.once('close', () => connections.delete(socket))
  })
  server.on('request', (request: IncomingMessage, answer: ServerResponse) => {
    const connection = connections.get(request.socket)
    if (connection === undefined) return
    connection.answer = answer
    answer.on('close', forget)
  })
  function forget(this: ServerResponse): void {
    const connection = connections.get(this.req.socket)
    if (connection?.answer === this) connection.answer = undefined
  }

  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isStopping() || isClosing) reply.header('connection', 'close')
    done(null, payload)
  })

  app.addHook('preClose', async () => {
    isClosing = true
    // `close` of node:http begins with it, before it leaves the port.
    server.closeIdleConnections = () => {}
    const begunAt = performance.now()
    for (const connection of connections.values()) connection.quietSince = begunAt
    let isClosed = false
    server.once('close', () => {
      isClosed = true
    })
    void closeIdle()

    async function closeIdle(): Promise<void> {
      while (!isClosed) {
        await delay(LOOK_MS)
        // After a pause of the event loop, what came meanwhile is read only now.
        await nextRound()
        const now = performance.now()
        for (const [socket, connection] of connections) {
          look(socket, connection, now)
          if (isIdle(connection, now)) socket.destroy()
        }
      }
    }
  })
}

function look({ bytesRead }: Socket, connection: Connection, now: number): void {
  if (bytesRead === connection.bytesRead) return
  connection.bytesRead = bytesRead
  connection.quietSince = now
}

function isIdle({ answer, quietSince }: Connection, now: number): boolean {
  const quietMs = now - quietSince
  return answer === undefined ? quietMs >= REQUEST_MS : !answer.req.complete && quietMs >= BODY_MS
}
