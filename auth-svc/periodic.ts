import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '#runtime/observability/logger.ts'

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

/**
 * Does something now and then, one run after the other. After a run that fails the next one comes all the same; the log
 * has the first failure in a row, and the end of the row.
 */
export function startPeriodic({ name, everyMs, logger, run }: PeriodicOptions): Periodic {
  const stopping = new AbortController()
  let isFailing = false

  async function attempt(): Promise<void> {
    try {
      await run()
      if (isFailing) logger.info({ periodic: name }, 'a periodic task works again')
      isFailing = false
    } catch (error) {
      if (!isFailing) logger.warn({ err: error, periodic: name }, 'a periodic task failed')
      isFailing = true
    }
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await attempt()
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
  await delay(ms, undefined, { signal }).catch(() => {})
}
