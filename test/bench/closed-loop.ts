/** Each again and again until the time is over; what was begun is waited for. @returns how often they did it in all. */
export async function closedLoop(workers: readonly (() => Promise<unknown>)[], seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1000
  let done = 0
  await Promise.all(
    workers.map(async work => {
      while (performance.now() < end) {
        await work()
        done++
      }
    }),
  )
  return done
}
