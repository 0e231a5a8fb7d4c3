import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '#runtime/logger.ts'

export interface Periodic {
  /** Lets what is under way finish. */
  stop(): Promise<void>
}

export interface PeriodicOptions {
  /** As the log names it. */
  name: string
  everyMs: number
  logger: Logger
  run: () => Promise<unknown>
}

/** Does something now and then, one run after the other. A run that fails is logged, and the next one comes all the same. */
export function startPeriodic({ name, everyMs, logger, run }: PeriodicOptions): Periodic {
  const stopping = new AbortController()

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await run().catch(error => logger.warn({ err: error, periodic: name }, 'a periodic task failed'))
      await pause(everyMs, stopping.signal)
    }
  }

  const ended = loop()
  return {
    stop() {
      stopping.abort()
      return ended
    },
  }
}

/** Ends early, not with an error, at the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch(() => {})
}
