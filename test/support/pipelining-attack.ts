/** Clients that pipeline many GET requests on each of their connections and read no response. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Attack {
  /** Number of connections that the server has not closed. */
  readonly openConnections: number
  /** Number of bytes that were sent. */
  readonly sentBytes: number
  stop(): void
}

/** @param paths the requests of connection number n are for path number n modulo their number. */
export async function startPipeliningAttack(
  port: number,
  { connections, requests, paths }: { connections: number; requests: number; paths: readonly string[] },
): Promise<Attack> {
  const sockets: Socket[] = []
  let sentBytes = 0
  let closed = 0
  for (let number = 0; number < connections; number++) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {}).once('close', () => closed++)
    // Without a listener for `data`, a socket does not read.
    await once(socket, 'connect')
    const request = `GET ${paths[number % paths.length]} HTTP/1.1\r\nHost: a\r\n\r\n`
    const bytes = Buffer.from(request.repeat(requests))
    sentBytes += bytes.length
    socket.write(bytes)
    sockets.push(socket)
  }
  return {
    get openConnections() {
      return connections - closed
    },
    sentBytes,
    stop() {
      for (const socket of sockets) socket.destroy()
    },
  }
}
