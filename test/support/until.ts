import { setTimeout as delay } from 'node:timers/promises'

/**
 * Polls until a condition holds. For states that cause no event.
 *
 * @param read reads the state.
 * @param holds the condition.
 * @param options `timeoutMs`: default 20,000. `everyMs`: pause between two reads, default 10.
 * @returns the elapsed time in milliseconds.
 * @throws if the condition does not hold within `timeoutMs`, with the last state.
 */
export async function until<T>(
  read: () => Promise<T>,
  holds: (state: T) => boolean,
  { timeoutMs = 20_000, everyMs = 10 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<number> {
  const started = performance.now()
  for (;;) {
    const state = await read()
    const ms = performance.now() - started
    if (holds(state)) return ms
    if (ms > timeoutMs)
      throw new Error(`Condition not met within ${timeoutMs} ms; last state: ${JSON.stringify(state)}`)
    await delay(everyMs)
  }
}
