import { setTimeout as delay } from 'node:timers/promises'

/** Resolves with the first answer that is there: for what happens elsewhere, and tells nobody. */
export async function until<R>(look: () => Promise<R | undefined | false>): Promise<R> {
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    await delay(10)
  }
}
