import { unavailable } from '#runtime/status.ts'
import type { Cancellation } from '../upstream/cancellation.ts'

/** The server streams in progress. A shutdown must end them, since a stream can be endless. */
export interface OpenStreams {
  /** @returns a function that must be called when the stream has ended. */
  add(cancellation: Cancellation): () => void
  /** The error that a cancelled stream reports to its client; undefined until `end` cancels streams. */
  readonly endReason: Error | undefined
  /** Waits `graceMs` milliseconds for streams to end, then cancels the rest. Resolves at once if there are none. */
  end(graceMs: number): Promise<void>
}

export function createOpenStreams(): OpenStreams {
  const open = new Set<Cancellation>()
  let endReason: Error | undefined
  let onEmpty = () => {}

  return {
    add(cancellation) {
      open.add(cancellation)
      // A keep-alive connection can still start a stream after `end` has cancelled the others.
      if (endReason !== undefined) cancellation.cancel()
      return () => {
        open.delete(cancellation)
        if (open.size === 0) onEmpty()
      }
    },
    get endReason() {
      return endReason
    },
    async end(graceMs) {
      if (open.size === 0) return
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, graceMs)
        onEmpty = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      endReason = unavailable('The gateway is shutting down. Open the stream again.')
      for (const cancellation of open) cancellation.cancel()
    },
  }
}
