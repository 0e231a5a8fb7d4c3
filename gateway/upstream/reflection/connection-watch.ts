/** Notices that the connection of a grpc-js client was lost and has come back. */
import { type Client, connectivityState } from '@grpc/grpc-js'

export interface ConnectionWatch {
  /** Resolves when the client connects again after this call, or when `signal` is aborted. */
  reconnected(signal: AbortSignal): Promise<void>
}

/** Keeps the client connected until it is closed. */
export function watchConnection(client: Client): ConnectionWatch {
  const channel = client.getChannel()
  const waiting = new Set<() => void>()

  function follow(state: connectivityState): void {
    if (state === connectivityState.SHUTDOWN) return
    channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => {
      // `true`: connect again.
      const next = channel.getConnectivityState(true)
      if (next === connectivityState.READY) for (const resolve of waiting) resolve()
      follow(next)
    })
  }

  follow(channel.getConnectivityState(true))
  return {
    reconnected: signal =>
      new Promise(resolve => {
        const settle = () => {
          waiting.delete(settle)
          signal.removeEventListener('abort', settle)
          resolve()
        }
        waiting.add(settle)
        signal.addEventListener('abort', settle)
        if (signal.aborted) settle()
      }),
  }
}
