/** Waiters by key, first in, first out. Only the first one of a key polls, so that the cost is bounded by the keys. */
export interface WaitQueue {
  /** Number of waiters of all keys. */
  readonly size: number
  has(key: string): boolean
  /**
   * Calls `poll` in turn, after each `wake` and each `pollMs`, until it returns a result.
   * @returns undefined after `timeoutMs`, or when `signal` is aborted.
   * @throws the error of `poll`.
   */
  wait<R>(key: string, poll: () => Promise<R | undefined>, signal: AbortSignal): Promise<R | undefined>
  /** Makes the first waiter of the key poll at once. */
  wake(key: string): void
}

export interface WaitQueueOptions {
  timeoutMs: number
  /** Time between two polls, in milliseconds: other processes do not wake the waiters of this one. */
  pollMs: number
}

class Waiter {
  #isWoken = false
  #resume: (() => void) | undefined

  wake(): void {
    this.#isWoken = true
    this.#resume?.()
  }

  /** Resolves after `wake`, which may have been called before, after `ms`, or when `signal` is aborted. */
  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isWoken) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, ms)
        this.#resume = () => {
          clearTimeout(timer)
          resolve()
        }
        signal.addEventListener('abort', this.#resume, { once: true })
      })
      if (this.#resume !== undefined) signal.removeEventListener('abort', this.#resume)
      this.#resume = undefined
    }
    this.#isWoken = false
  }
}

export function createWaitQueue({ timeoutMs, pollMs }: WaitQueueOptions): WaitQueue {
  const queues = new Map<string, Waiter[]>()
  let size = 0

  function leave(key: string, queue: Waiter[], waiter: Waiter): void {
    size--
    queue.splice(queue.indexOf(waiter), 1)
    if (queue.length === 0) queues.delete(key)
    else queue[0]?.wake()
  }

  return {
    get size() {
      return size
    },
    has: key => queues.has(key),
    wake: key => queues.get(key)?.[0]?.wake(),
    async wait(key, poll, signal) {
      const waiter = new Waiter()
      const queue = queues.get(key) ?? []
      queues.set(key, queue)
      queue.push(waiter)
      size++
      const deadline = performance.now() + timeoutMs
      try {
        for (;;) {
          const isFirst = queue[0] === waiter
          const result = isFirst && !signal.aborted ? await poll() : undefined
          if (result !== undefined) return result
          const remainingMs = deadline - performance.now()
          if (signal.aborted || remainingMs <= 0) return undefined
          await waiter.sleep(isFirst ? Math.min(pollMs, remainingMs) : remainingMs, signal)
        }
      } finally {
        leave(key, queue, waiter)
      }
    },
  }
}
