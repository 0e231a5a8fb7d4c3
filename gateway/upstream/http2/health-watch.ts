/** grpc.health.v1.Health/Watch: a server that says for itself whether calls should come to it. */
import { Code } from '#runtime/status.ts'
import type { Connection } from './connection.ts'
import type { RequestHeads } from './request-head.ts'
import type { Stream } from './stream.ts'

// HealthCheckResponse {status: SERVING}: field 1, varint, 1.
const SERVING = Buffer.from([0x08, 0x01])
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
  const request = encodeRequest(service)
  let stream: Stream | undefined
  let timer: NodeJS.Timeout | undefined

  function begin(): void {
    if (!connection.hasRoom) {
      retry()
      return
    }
    stream = connection.start(heads.encode('/grpc.health.v1.Health/Watch', {}, Infinity), request, Infinity, {
      onMessage: message => onChange(SERVING.equals(message)),
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

/** HealthCheckRequest {service}: field 1, a string. */
function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service)
  if (name.length === 0) return name
  if (name.length > 127) throw new TypeError('The name of the health service is too long')
  return Buffer.concat([Buffer.from([0x0a, name.length]), name])
}
