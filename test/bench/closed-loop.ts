export interface ClosedLoop {
  /** Resolves when all stand still. */
  pause(): Promise<void>
  resume(): void
  /** @returns how often they did it in all, when what was begun has ended. @throws what one of them has thrown. */
  end(): Promise<number>
}

/** Each again and again. */
export function startClosedLoop(workers: readonly (() => Promise<unknown>)[]): ClosedLoop {
  let isOver = false
  let done = 0
  let gate: PromiseWithResolvers<void> | undefined
  const underWay = new Set<Promise<unknown>>()

  async function repeat(work: () => Promise<unknown>): Promise<void> {
    while (!isOver) {
      await gate?.promise
      const one = work()
      underWay.add(one)
      try {
        await one
      } finally {
        underWay.delete(one)
      }
      done++
    }
  }
  const all = Promise.all(workers.map(repeat))
  // Whoever ends it is told, but perhaps not before it has failed.
  all.catch(() => {})
  return {
    async pause() {
      gate = Promise.withResolvers()
      await Promise.allSettled(underWay)
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
