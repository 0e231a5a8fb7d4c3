import { unavailable } from '#runtime/status.ts'
import type { Cancellation } from '../upstream/cancellation.ts'

/** The streams that are being answered, so that the process can end although some of them never would. */
export interface OpenStreams {
  /** @returns to be called when the stream has ended. */
  add(cancellation: Cancellation): () => void
  /** What ended a stream, where that was `end`. */
  readonly reason: Error | undefined
  /** Gives streams so many milliseconds to end by themselves, then ends those that are left. */
  end(graceMs: number): Promise<void>
}

export function createOpenStreams(): OpenStreams {
  const open = new Set<Cancellation>()
  let reason: Error | undefined
  let onEmpty = () => {}

  return {
    add(cancellation) {
      open.add(cancellation)
      // One that a kept connection brings when the others have been ended.
      if (reason !== undefined) cancellation.cancel()
      return () => {
        open.delete(cancellation)
        if (open.size === 0) onEmpty()
      }
    },
    get reason() {
      return reason
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
      reason = unavailable('The gateway is being stopped; open the stream again')
      for (const cancellation of open) cancellation.cancel()
    },
  }
}
