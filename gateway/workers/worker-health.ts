/** Collects the health of all workers, for `/readyz` on the metrics port of the primary. */
import type { Worker } from 'node:cluster'
import type { HealthDetails } from '../http/health.ts'

/** Time for a worker to respond, in milliseconds. A health check of an upstream times out after 1,000. */
const RESPONSE_TIMEOUT_MS = 2000

interface HealthResponse {
  readonly kind: 'health'
  readonly details: HealthDetails
}

const HEALTH_REQUEST = { kind: 'health?' } as const

/** The health of a gateway with workers. It is ready if one of them is. */
export interface WorkersHealth {
  readonly status: HealthDetails['status']
  /** One entry for each worker. `health` is null if the worker did not respond within 2 s. */
  readonly workers: readonly { readonly pid: number | undefined; readonly health: HealthDetails | null }[]
}

/** Returns the response of a worker to a message of the primary; undefined if that is not a request for the health. */
export async function respondWithHealth(
  message: unknown,
  details: () => Promise<HealthDetails>,
): Promise<HealthResponse | undefined> {
  if ((message as Partial<typeof HEALTH_REQUEST> | null)?.kind !== HEALTH_REQUEST.kind) return undefined
  return { kind: 'health', details: await details() }
}

/** Requests the health of the workers that are connected. @param list the workers of this process. */
export async function collectHealth(list: readonly Worker[]): Promise<WorkersHealth> {
  const workers = await Promise.all(
    list
      .filter(worker => worker.isConnected())
      .map(async worker => ({ pid: worker.process.pid, health: await requestHealth(worker) })),
  )
  return { status: workers.some(({ health }) => health?.status === 'ready') ? 'ready' : 'not ready', workers }
}

function requestHealth(worker: Worker): Promise<HealthDetails | null> {
  return new Promise(resolve => {
    const done = (details: HealthDetails | null) => {
      clearTimeout(timer)
      worker.off('message', onMessage)
      worker.off('exit', onExit)
      resolve(details)
    }
    const onExit = () => done(null)
    const onMessage = (message: Partial<HealthResponse> | null) => {
      if (message?.kind === 'health' && message.details !== undefined) done(message.details)
    }
    const timer = setTimeout(onExit, RESPONSE_TIMEOUT_MS)
    worker.on('message', onMessage)
    worker.once('exit', onExit)
    worker.send(HEALTH_REQUEST)
  })
}
