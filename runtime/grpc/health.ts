/** The service `grpc.health.v1.Health`, which reports whether a server can serve, from checks of its dependencies. */
import type { handleServerStreamingCall, Server, ServerWritableStream } from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'
import type { Logger } from '../observability/logger.ts'

const CHECK_INTERVAL_MS = 1000

export interface HealthOptions {
  readonly logger: Logger
  /** Checks by name. A check that rejects makes the server NOT_SERVING. */
  readonly dependencies: Record<string, () => Promise<unknown>>
}

export interface Health {
  /** Checks the dependencies now, then once a second. Resolves after the first check. */
  start(): Promise<void>
  /** Stops the checks and reports NOT_SERVING. */
  stop(): void
  /** Ends the `Watch` streams of clients, which grpc-health-check leaves open and a graceful stop waits for. */
  endWatches(): void
}

/** Adds the health service to a server, with one status for the server as a whole. Initially NOT_SERVING. */
export function addHealth(server: Server, { logger, dependencies }: HealthOptions): Health {
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
  let timer: NodeJS.Timeout | undefined

  function setStatus(status: 'SERVING' | 'NOT_SERVING'): void {
    // The library notifies the clients on every call, also without a change.
    if (status !== current) health.setStatus('', status)
    current = status
  }

  async function check(): Promise<void> {
    const failed: string[] = []
    for (const [name, dependency] of Object.entries(dependencies)) await dependency().catch(() => failed.push(name))
    if (timer !== undefined) setStatus(failed.length === 0 ? 'SERVING' : 'NOT_SERVING')
    if (failed.length > 0) logger.debug({ failed }, 'health check failed')
  }

  function schedule(): void {
    timer = setTimeout(async () => {
      await check()
      if (timer !== undefined) schedule()
    }, CHECK_INTERVAL_MS).unref()
  }

  return {
    start: () => {
      schedule()
      return check()
    },
    stop: () => {
      clearTimeout(timer)
      timer = undefined
      setStatus('NOT_SERVING')
    },
    endWatches: () => {
      for (const watch of watches) watch.end()
    },
  }
}
