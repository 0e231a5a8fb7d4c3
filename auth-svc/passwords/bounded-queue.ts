import pLimit from 'p-limit'
import { callerGone, overloaded } from '../errors.ts'

/** Work that takes a whole core, done so many at a time; the rest waits, and past a bound is turned away. */
export interface BoundedQueue {
  /**
   * @param signal of the caller: work that nobody waits for any more is not begun.
   * @throws StatusError UNAVAILABLE `overloaded` with the time after which there is likely to be room.
   */
  run<R>(work: () => Promise<R>, signal?: AbortSignal): Promise<R>
  readonly running: number
  readonly waiting: number
}

export function createBoundedQueue(options: { concurrency: number; maxWaiting: number }): BoundedQueue {
  const { concurrency, maxWaiting } = options
  const limit = pLimit(concurrency)
  /** Milliseconds that one piece takes, as a moving average. */
  let typicalMs = 200

  async function timed<R>(work: () => Promise<R>): Promise<R> {
    const started = performance.now()
    const result = await work()
    typicalMs += (performance.now() - started - typicalMs) / 8
    return result
  }

  return {
    get running() {
      return limit.activeCount
    },
    get waiting() {
      return limit.pendingCount
    },
    async run(work, signal) {
      const ahead = limit.activeCount + limit.pendingCount
      if (ahead >= concurrency + maxWaiting) throw overloaded(Math.ceil((typicalMs * maxWaiting) / concurrency / 2))
      return limit(() => {
        if (signal?.aborted) throw callerGone()
        return timed(work)
      })
    },
  }
}
