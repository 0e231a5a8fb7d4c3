import type { Logger } from './logger.ts'

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
}

/**
 * Ends the process in an orderly way on SIGTERM or SIGINT: each stage in turn, then exit 0. A second signal, a stage
 * that fails, or a stop that takes too long exits with 1. An unhandled rejection drains too, since other requests are
 * sound; an uncaught exception leaves the process in an unknown state and exits at once.
 */
export function manageLifecycle({ logger, stages, hardStopMs = 30_000 }: LifecycleOptions): void {
  let stopping = false

  async function stop(reason: string, exitCode: number): Promise<void> {
    if (stopping) {
      logger.error({ reason }, 'stopped at once, without waiting for the rest')
      process.exit(1)
    }
    stopping = true
    logger.info({ reason }, 'stopping')
    setTimeout(() => {
      logger.error({ hardStopMs }, 'not stopped in time')
      process.exit(1)
    }, hardStopMs).unref()
    let failed = false
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
    process.exit(failed ? 1 : exitCode)
  }

  process.on('SIGTERM', signal => void stop(signal, 0))
  process.on('SIGINT', signal => void stop(signal, 0))
  process.on('unhandledRejection', error => {
    logger.fatal({ err: error }, 'unhandled rejection')
    void stop('unhandled rejection', 1)
  })
  process.on('uncaughtException', error => {
    logger.fatal({ err: error }, 'uncaught exception')
    process.exit(1)
  })
}
