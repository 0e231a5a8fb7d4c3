export interface ClosedLoop {
  /** Starts no further iteration. Resolves when those in progress have finished. */
  pause(): Promise<void>
  resume(): void
  /**
   * Stops the loop and waits for the iterations in progress.
   * @returns the number of iterations of all workers.
   * @throws the first error of a worker.
   */
  end(): Promise<number>
}

/** Runs each worker repeatedly, one iteration after the other. */
export function startClosedLoop(workers: readonly (() => Promise<unknown>)[]): ClosedLoop {
  let isOver = false
  let done = 0
  let gate: PromiseWithResolvers<void> | undefined
  const inProgress = new Set<Promise<unknown>>()

  async function repeat(work: () => Promise<unknown>): Promise<void> {
    while (!isOver) {
      await gate?.promise
      const iteration = work()
      inProgress.add(iteration)
      try {
        await iteration
      } finally {
        inProgress.delete(iteration)
      }
      done++
    }
  }
  const all = Promise.all(workers.map(repeat))
  // `end` reports the rejection; it may be called later.
  all.catch(() => {})
  return {
    async pause() {
      gate = Promise.withResolvers()
      await Promise.allSettled(inProgress)
    },
    resume() {
      gate?.resolve()
      gate = undefined
    },
    async end() {
      isOver = true
      await all
      return done
    },
  }
}
