/** Watches a server's health by grpc.health.v1.Health/Watch, so that calls go only to servers that report SERVING. */
import { Code } from '#runtime/status.ts'
import { healthRequest, isServing } from '../health.ts'
import type { Connection } from './connection.ts'
import { decompressShort } from './messages.ts'
import type { RequestHeaderEncoder } from './request-headers.ts'
import type { Stream } from './stream.ts'

/** Delay before a watch that the server ended is started again, in milliseconds. */
const RETRY_MS = 1000

export interface HealthWatch {
  stop(): void
}

/**
 * Starts a watch on an open connection.
 * @param onChange called on every message of the server, and when the stream ends: with false, or with true if the
 * server does not implement the health service.
 */
export function watchHealth(
  connection: Connection,
  headerEncoder: RequestHeaderEncoder,
  service: string,
  onChange: (serving: boolean) => void,
): HealthWatch {
  const request = healthRequest(service)
  let stream: Stream | undefined
  let timer: NodeJS.Timeout | undefined

  function start(): void {
    if (!connection.hasCapacity) {
      retry()
      return
    }
    const headers = headerEncoder.encode('/grpc.health.v1.Health/Watch', {}, Infinity)
    stream = connection.start(headers, request, Infinity, {
      onMessage: (message, gzipped) => onChange(isServing(gzipped ? decompressOrEmpty(message) : message)),
      onEnd(error) {
        stream = undefined
        onChange(error?.code === Code.UNIMPLEMENTED)
        if (error?.code !== Code.UNIMPLEMENTED) retry()
      },
    })
  }

  function retry(): void {
    if (connection.isOpen) timer = setTimeout(start, RETRY_MS).unref()
  }

  start()
  return {
    stop() {
      clearTimeout(timer)
      if (stream !== undefined) connection.cancel(stream)
    },
  }
}

/** An unreadable message counts as not serving. */
function decompressOrEmpty(message: Buffer): Buffer {
  try {
    return decompressShort(message)
  } catch {
    return Buffer.alloc(0)
  }
}
