import { setTimeout as delay } from 'node:timers/promises'

/**
 * Asks again until the answer fits, for what is seen only by asking.
 * @returns the milliseconds it took.
 * @throws when it does not come about in `timeoutMs`, with the last answer.
 */
export async function until<T>(
  ask: () => Promise<T>,
  fits: (answer: T) => boolean,
  { timeoutMs = 20_000, everyMs = 10 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<number> {
  const started = performance.now()
  for (;;) {
    const answer = await ask()
    const ms = performance.now() - started
    if (fits(answer)) return ms
    if (ms > timeoutMs) throw new Error(`Not within ${timeoutMs} ms; the last answer: ${JSON.stringify(answer)}`)
    await delay(everyMs)
  }
}
