/**
 * Closes a connection whose client is still sending (RFC 9112 section 9.6). If a server closes its socket while bytes
 * arrive, TCP resets the connection, and the reset can delete a response that the client has not read. So the server closes
 * its side only, then discards what arrives until the client closes its side.
 */
import type { Socket } from 'node:net'
import { detachParser } from './parser-control.ts'

/** Maximum time in milliseconds until the connection is destroyed. */
const MAX_MS = 30_000
/** Maximum time in milliseconds between two chunks. */
const MAX_IDLE_MS = 5000
/** Maximum number of discarded bytes. */
const MAX_BYTES = 64 * 1024 * 1024

/** Sends the buffered bytes and FIN, then discards at most 64 MiB within 30 s, and 5 s between two chunks. */
export function closeLingering(socket: Socket): void {
  let discarded = 0
  const destroy = () => void socket.destroy()
  const timer = setTimeout(destroy, MAX_MS)
  const idleTimer = setTimeout(destroy, MAX_IDLE_MS)
  socket.once('close', () => {
    clearTimeout(timer)
    clearTimeout(idleTimer)
  })
  detachParser(socket, chunk => {
    discarded += chunk.length
    if (discarded > MAX_BYTES) socket.destroy()
    else idleTimer.refresh()
  })
  socket.end()
  socket.resume()
}
