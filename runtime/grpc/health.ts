/** grpc.health.v1, by which whoever calls a server knows whether it takes calls. */
import type { handleServerStreamingCall, Server, ServerWritableStream } from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'

export interface Health {
  setStatus(status: 'SERVING' | 'NOT_SERVING'): void
  /** Ends the watches of clients: the library leaves them open, and a graceful stop would wait for them for ever. */
  end(): void
}

/** grpc.health.v1 for the server as a whole. */
export function addHealth(server: Server): Health {
  const health = new HealthImplementation({ '': 'NOT_SERVING' })
  const watches = new Set<ServerWritableStream<unknown, unknown>>()
  const addService: Server['addService'] = (definition, implementation) => {
    const watch = implementation['watch'] as handleServerStreamingCall<unknown, unknown>
    server.addService(definition, {
      ...implementation,
      watch: (call: ServerWritableStream<unknown, unknown>) => {
        watches.add(call)
        call.on('cancelled', () => watches.delete(call))
        watch(call)
      },
    })
  }
  health.addToServer({ addService } as Server)
  let current: 'SERVING' | 'NOT_SERVING' | undefined
  return {
    // The library tells every watch of every call, change or none.
    setStatus: status => {
      if (status !== current) health.setStatus('', status)
      current = status
    },
    end: () => {
      for (const watch of watches) watch.end()
    },
  }
}
