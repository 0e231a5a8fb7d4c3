import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '#runtime/observability/logger.ts'

export interface PeriodicTask {
  /** Starts no further run. Resolves when the current run, if any, has finished. */
  stop(): Promise<void>
}

export interface PeriodicTaskOptions {
  /** Field `task` of log messages. */
  name: string
  /** Pause between the end of one run and the start of the next, in milliseconds. */
  intervalMs: number
  logger: Logger
  /** A rejection is logged and does not end the task. */
  run: () => Promise<unknown>
}

/**
 * Starts a task: the first run at once, each further one `intervalMs` after the previous one has finished. Of
 * consecutive failures only the first is logged, and then the recovery.
 */
export function startPeriodicTask({ name, intervalMs, logger, run }: PeriodicTaskOptions): PeriodicTask {
  const stopping = new AbortController()
  let isFailing = false

  async function runOnce(): Promise<void> {
    try {
      await run()
      if (isFailing) logger.info({ task: name }, 'periodic task recovered')
      isFailing = false
    } catch (error) {
      if (!isFailing) logger.warn({ err: error, task: name }, 'periodic task failed; retrying at its next interval')
      isFailing = true
    }
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await runOnce()
      await pause(intervalMs, stopping.signal)
    }
  }

  const finished = loop()
  return {
    stop() {
      stopping.abort()
      return finished
    },
  }
}

/** Resolves after `ms` milliseconds, or as soon as `signal` is aborted. Never rejects. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {})
}
