import pLimit from 'p-limit'
import { overloaded, requestCancelled } from '../errors.ts'

/** Runs tasks that occupy a core each: a bounded number at a time, and a bounded number waiting. */
export interface BoundedQueue {
  /**
   * Runs `task` when there is room, in the order of the calls.
   * @throws StatusError UNAVAILABLE `overloaded` if the queue is full, with the estimated time until it is half empty;
   *   CANCELLED if `signal` is aborted before the task starts.
   */
  run<R>(task: () => Promise<R>, signal?: AbortSignal): Promise<R>
  readonly running: number
  readonly waiting: number
}

export interface BoundedQueueOptions {
  concurrency: number
  /** Further tasks are rejected. */
  maxWaiting: number
}

export function createBoundedQueue({ concurrency, maxWaiting }: BoundedQueueOptions): BoundedQueue {
  const limit = pLimit(concurrency)
  /** Duration of a task in milliseconds, as a moving average. */
  let averageMs = 200

  async function measure<R>(task: () => Promise<R>): Promise<R> {
    const startedAt = performance.now()
    const result = await task()
    averageMs += (performance.now() - startedAt - averageMs) / 8
    return result
  }

  return {
    get running() {
      return limit.activeCount
    },
    get waiting() {
      return limit.pendingCount
    },
    async run(task, signal) {
      const length = limit.activeCount + limit.pendingCount
      if (length >= concurrency + maxWaiting) throw overloaded(Math.ceil((averageMs * maxWaiting) / concurrency / 2))
      return limit(() => {
        if (signal?.aborted) throw requestCancelled()
        return measure(task)
      })
    },
  }
}
