import { setTimeout as delay } from 'node:timers/promises'
import { credentials, makeClientConstructor, type ServiceError } from '@grpc/grpc-js'
import { service as healthService } from 'grpc-health-check'

/** Resolves when the health service of a gRPC server reports SERVING. Polls every 50 ms. @throws after `timeoutMs`. */
export async function waitUntilServing(address: string, timeoutMs: number): Promise<void> {
  const Health = makeClientConstructor(healthService, 'grpc.health.v1.Health')
  const client = new Health(address, credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 100,
  })
  const deadline = Date.now() + timeoutMs
  try {
    for (;;) {
      await new Promise<void>((resolve, reject) =>
        client.waitForReady(deadline, error => (error ? reject(error) : resolve())),
      )
      const status = await new Promise<string>(resolve => {
        client['check']?.({ service: '' }, { deadline }, (error: ServiceError | null, response?: { status: string }) =>
          resolve(error?.message ?? response?.status ?? ''),
        )
      })
      if (status === 'SERVING') return
      if (Date.now() > deadline) throw new Error(`health status ${status}`)
      await delay(50)
    }
  } catch (cause) {
    throw new Error(`${address} did not become ready within ${timeoutMs / 1000} s`, { cause })
  } finally {
    client.close()
  }
}

/** Resolves when `/readyz` returns 2xx. Polls every 50 ms. @throws after `timeoutMs`, with the last response. */
export async function waitUntilReady(url: string, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const { isReady, text } = await probe(`${url}/readyz`)
    if (isReady) return
    if (Date.now() > deadline) throw new Error(`${url} did not become ready within ${timeoutMs / 1000} s: ${text}`)
    await delay(50)
  }
}

async function probe(url: string): Promise<{ isReady: boolean; text: string }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) })
    return { isReady: response.ok, text: await response.text() }
  } catch (error) {
    return { isReady: false, text: String((error as Error).cause ?? error) }
  }
}
