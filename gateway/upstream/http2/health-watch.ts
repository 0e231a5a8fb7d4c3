/** grpc.health.v1.Health/Watch: a server that says for itself whether calls should come to it. */
import { Code } from '#runtime/status.ts'
import { healthRequest, isServing } from '../health.ts'
import type { Connection } from './connection.ts'
import { inflateShort } from './inflate.ts'
import type { RequestHeads } from './request-head.ts'
import type { Stream } from './stream.ts'

/** Milliseconds until a watch that the server ended is begun again. */
const RETRY_MS = 1000

export interface HealthWatch {
  stop(): void
}

/**
 * Watches over an open connection.
 * @param service '' asks about the server as a whole.
 * @param onChange true also for a server that has no health service.
 */
export function watchHealth(
  connection: Connection,
  heads: RequestHeads,
  service: string,
  onChange: (serving: boolean) => void,
): HealthWatch {
  const request = healthRequest(service)
  let stream: Stream | undefined
  let timer: NodeJS.Timeout | undefined

  function begin(): void {
    if (!connection.hasRoom) {
      retry()
      return
    }
    stream = connection.start(heads.encode('/grpc.health.v1.Health/Watch', {}, Infinity), request, Infinity, {
      onMessage: (message, gzipped) => onChange(isServing(gzipped ? inflated(message) : message)),
      onEnd(error) {
        stream = undefined
        onChange(error?.code === Code.UNIMPLEMENTED)
        if (error?.code !== Code.UNIMPLEMENTED) retry()
      },
    })
  }

  function retry(): void {
    if (connection.isOpen) timer = setTimeout(begin, RETRY_MS).unref()
  }

  begin()
  return {
    stop() {
      clearTimeout(timer)
      if (stream !== undefined) connection.cancel(stream)
    },
  }
}

/** What cannot be read says nothing, and so not that the server serves. */
function inflated(message: Buffer): Buffer {
  try {
    return inflateShort(message)
  } catch {
    return Buffer.alloc(0)
  }
}
