import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { type Runner, run, type TaskList, Logger as WorkerLogger } from 'graphile-worker'
import type { Logger } from '#runtime/logger.ts'
import { JOBS_SCHEMA } from './tables.ts'

export interface JobWorkerOptions {
  databaseUrl: string
  logger: Logger
  tasks: TaskList
  /** Milliseconds between two looks for jobs whose time has come. */
  pollMs?: number
  /** False behind a pooler in transaction mode, through which no news of jobs comes either: they wait for a look. */
  preparedStatements?: boolean
}

export interface JobWorker {
  /** Lets running jobs finish. */
  stop(): Promise<void>
}

const RESTART_MS = 1000

/**
 * Resolves when it works. graphile-worker gives up when it cannot note that a job is done, as when PostgreSQL goes away
 * just then; another one then takes its place.
 */
export async function startJobWorker(options: JobWorkerOptions): Promise<JobWorker> {
  const { databaseUrl, logger, tasks, pollMs = 1000, preparedStatements = true } = options
  const stopping = new AbortController()
  const { signal } = stopping

  async function start(): Promise<Runner> {
    const runner = await run({
      // Without batches, of any size, giving up is an unhandled rejection (0.18), which would end the process.
      preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      connectionString: databaseUrl,
      schema: JOBS_SCHEMA,
      taskList: tasks,
      // One connection waits for news of jobs; each job has one to itself when it begins and ends.
      maxPoolSize: 3,
      concurrency: 2,
      pollInterval: pollMs,
      noPreparedStatements: !preparedStatements,
      noHandleSignals: true,
      logger: toWorkerLogger(logger),
    })
    runner.promise.catch(error => logger.error({ err: error }, 'the job worker failed'))
    return runner
  }

  async function restart(): Promise<Runner> {
    for (;;) {
      await delay(RESTART_MS, undefined, { signal })
      try {
        return await start()
      } catch (error) {
        logger.warn({ err: error }, 'the job worker could not be begun again')
      }
    }
  }

  /** The event tells: one that has given up does not always end, nor its promise. */
  async function replaceWhenGivenUp(runner: Runner): Promise<void> {
    await once(runner.events, 'pool:gracefulShutdown', { signal })
    logger.warn('the job worker has given up; it is begun again')
    current = await restart()
    return replaceWhenGivenUp(current)
  }

  let current = await start()
  // Ends with the signal only.
  const replaced = replaceWhenGivenUp(current).catch(() => {})

  return {
    async stop() {
      stopping.abort()
      await replaced
      // One that has given up refuses to be stopped.
      await current.stop().catch(() => {})
    },
  }
}

const LEVELS = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const

/** graphile-worker's messages in our log; what it calls info is an event of every job. */
export function toWorkerLogger(logger: Logger): WorkerLogger {
  return new WorkerLogger(scope => (level, message, meta) => {
    logger[LEVELS[level]]({ ...scope, ...(meta?.['error'] instanceof Error && { err: meta['error'] }) }, message)
  })
}
