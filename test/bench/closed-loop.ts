export interface ClosedLoop {
  /** Resolves when all stand still. */
  pause(): Promise<void>
  resume(): void
  /** How often they did it in all, when the time is over and what was begun has ended. */
  readonly done: Promise<number>
}

/** Each again and again until the time is over, by the clock. */
export function startClosedLoop(workers: readonly (() => Promise<unknown>)[], seconds: number): ClosedLoop {
  const end = performance.now() + seconds * 1000
  let done = 0
  let gate: PromiseWithResolvers<void> | undefined
  const underWay = new Set<Promise<unknown>>()

  async function repeat(work: () => Promise<unknown>): Promise<void> {
    while (performance.now() < end) {
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
  return {
    async pause() {
      gate = Promise.withResolvers()
      await Promise.allSettled(underWay)
    },
    resume() {
      gate?.resolve()
      gate = undefined
    },
    done: all.then(() => done),
  }
}
