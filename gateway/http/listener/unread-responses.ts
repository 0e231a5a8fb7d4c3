/**
 * Bounds the response bytes that clients do not read. They are in the memory of the process as soon as the send buffer of
 * the kernel is full.
 */
import type { Socket } from 'node:net'
import type { ListenerLimits, RejectionReason } from './listener.ts'

/** Interval in milliseconds. A check of 10,000 connections that have read everything takes below 1 ms. */
const CHECK_INTERVAL_MS = 100

interface Backlog {
  readonly socket: Socket
  /** Unread bytes in the process at the latest check. */
  bytes: number
  /** Bytes that the kernel has accepted completely, and bytes of the write in progress. */
  written: number
  queued: number
  /** Time of the check that last saw progress, in milliseconds. */
  progressAt: number
}

export interface UnreadResponsesOptions {
  readonly limits: Pick<ListenerLimits, 'maxUnreadBytes' | 'writeTimeoutMs'>
  readonly sockets: () => Iterable<Socket>
  /** Bytes of requests that wait behind a response of this socket. They count as unread. */
  readonly heldBytes: (socket: Socket) => number
  readonly onRejected: (reason: RejectionReason) => void
}

/**
 * Checks the connections until `stop`. Destroys a connection that made no progress for `writeTimeoutMs`. While the unread
 * bytes of all exceed `maxUnreadBytes`, destroys the connection that has made no progress for the longest time.
 */
export function watchUnreadResponses({ limits, sockets, heldBytes, onRejected }: UnreadResponsesOptions) {
  let backlogs = new Map<Socket, Backlog>()

  function check(): void {
    const now = performance.now()
    const current = new Map<Socket, Backlog>()
    let total = 0
    for (const socket of sockets()) {
      if (socket.writableLength === 0) continue
      const backlog = measure(socket, backlogs.get(socket), now)
      backlog.bytes += heldBytes(socket)
      total += backlog.bytes
      current.set(socket, backlog)
    }
    backlogs = current
    if (current.size === 0) return
    const oldestFirst = [...current.values()].sort((a, b) => a.progressAt - b.progressAt || b.bytes - a.bytes)
    for (const { socket, bytes, progressAt } of oldestFirst) {
      const isTimedOut = now - progressAt >= limits.writeTimeoutMs
      if (!isTimedOut && total <= limits.maxUnreadBytes) break
      onRejected(isTimedOut ? 'write_timeout' : 'unread_bytes')
      total -= bytes
      // The socket buffers of the kernel are released at once, unlike with FIN.
      socket.resetAndDestroy()
    }
  }

  const timer = setInterval(check, CHECK_INTERVAL_MS).unref()
  return { stop: () => clearInterval(timer) }
}

function measure(socket: Socket, previous: Backlog | undefined, now: number): Backlog {
  const bytes = socket.writableLength
  const written = socket.bytesWritten - bytes
  // `writableLength` changes only when a write is complete. A response of 4 MiB is one write.
  const queued = writeQueueSize(socket)
  const isStalled = previous !== undefined && previous.written === written && previous.queued === queued
  return { socket, bytes, written, queued, progressAt: isStalled ? previous.progressAt : now }
}

/** Bytes of the write in progress that the kernel has not accepted. */
function writeQueueSize(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { _handle: { writeQueueSize: number } | null }
  return handle?.writeQueueSize ?? 0
}
