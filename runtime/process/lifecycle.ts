import type { Logger } from '../observability/logger.ts'

/** A step of the shutdown. */
export interface Stage {
  /** Name for log messages. */
  name: string
  stop(): Promise<unknown> | unknown
}

export interface LifecycleOptions {
  logger: Logger
  /** Shutdown steps, run one after the other. First those that stop accepting requests, last those others depend on. */
  stages: readonly Stage[]
  /** Maximum time of the shutdown, in milliseconds. Default 30,000. The process then exits with code 1. */
  hardStopMs?: number
  /** Signals that start the shutdown. Default SIGTERM and SIGINT. */
  signals?: readonly NodeJS.Signals[]
}

export interface Lifecycle {
  /** Starts the shutdown. Has no effect if it has already started. */
  stop(reason: string): void
}

/**
 * Shuts the process down on a signal or by `stop`: runs the stages, then exits with code 0.
 *
 * - A stage that fails: the remaining stages run, then exit code 1.
 * - A second signal, or a shutdown longer than `hardStopMs`: immediate exit with code 1.
 * - An unhandled rejection starts the shutdown, with exit code 1: requests in flight are unaffected and can finish.
 * - An uncaught exception: immediate exit with code 1, because the state of the process is unknown.
 */
export function manageLifecycle(options: LifecycleOptions): Lifecycle {
  const { logger, stages, hardStopMs = 30_000, signals = ['SIGTERM', 'SIGINT'] } = options
  let stopping = false
  let signalled = false
  let failed = false

  async function stop(reason: string): Promise<void> {
    stopping = true
    logger.info({ reason }, 'shutting down')
    setTimeout(() => {
      logger.error({ hardStopMs }, 'shutdown timed out; exiting')
      process.exit(1)
    }, hardStopMs).unref()
    for (const stage of stages) {
      try {
        await stage.stop()
        logger.debug({ stage: stage.name }, 'shutdown stage completed')
      } catch (error) {
        failed = true
        logger.error({ err: error, stage: stage.name }, 'shutdown stage failed')
      }
    }
    logger.info('shutdown completed')
    process.exit(failed ? 1 : 0)
  }

  function onSignal(signal: string): void {
    const isFirst = !signalled
    signalled = true
    if (!stopping) return void stop(signal)
    // The shutdown was started by `stop`. A worker gets both: a message of its primary and the signal to the process
    // group.
    if (isFirst) return
    logger.error({ reason: signal }, 'second signal; exiting without completing the shutdown')
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
