import type { Logger } from '../observability/logger.ts'

export interface Stage {
  /** As the log names it. */
  name: string
  stop(): Promise<unknown> | unknown
}

export interface LifecycleOptions {
  logger: Logger
  /** In order: first what lets nothing new in, last what everything else needs. */
  stages: readonly Stage[]
  /** Past this many milliseconds the process exits with 1 whatever is left. */
  hardStopMs?: number
  /** What asks it to end; unless given SIGTERM and SIGINT. */
  signals?: readonly NodeJS.Signals[]
}

export interface Lifecycle {
  /** Ends the process as a signal does. Asked again it is still the first stop that counts. */
  stop(reason: string): void
}

/**
 * Ends the process in an orderly way on SIGTERM or SIGINT, or when told to: each stage in turn, then exit 0. A second
 * signal, a stage that fails, or a stop that takes too long exits with 1. An unhandled rejection drains too, since other
 * requests are sound; an uncaught exception leaves the process in an unknown state and exits at once.
 */
export function manageLifecycle(options: LifecycleOptions): Lifecycle {
  const { logger, stages, hardStopMs = 30_000, signals = ['SIGTERM', 'SIGINT'] } = options
  let stopping = false
  let signalled = false
  let failed = false

  async function stop(reason: string): Promise<void> {
    stopping = true
    logger.info({ reason }, 'stopping')
    setTimeout(() => {
      logger.error({ hardStopMs }, 'not stopped in time')
      process.exit(1)
    }, hardStopMs).unref()
    for (const stage of stages) {
      try {
        await stage.stop()
        logger.debug({ stage: stage.name }, 'stopped')
      } catch (error) {
        failed = true
        logger.error({ err: error, stage: stage.name }, 'did not stop cleanly')
      }
    }
    logger.info('stopped')
    process.exit(failed ? 1 : 0)
  }

  function onSignal(signal: string): void {
    const isFirst = !signalled
    signalled = true
    if (!stopping) return void stop(signal)
    // It was told otherwise before, as a worker is by its primary when a whole group gets a signal.
    if (isFirst) return
    logger.error({ reason: signal }, 'stopped at once, without waiting for the rest')
    process.exit(1)
  }

  for (const signal of signals) process.on(signal, onSignal)
  process.on('unhandledRejection', error => {
    logger.fatal({ err: error }, 'unhandled rejection')
    failed = true
    if (!stopping) void stop('unhandled rejection')
  })
  process.on('uncaughtException', error => {
    logger.fatal({ err: error }, 'uncaught exception')
    process.exit(1)
  })

  return {
    stop: reason => {
      if (!stopping) void stop(reason)
    },
  }
}
