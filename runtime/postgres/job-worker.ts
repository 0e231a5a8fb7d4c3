/** Jobs of a service, kept in PostgreSQL by graphile-worker, and done by whichever of its processes is free. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { type CronItem, parseCronItems, type Runner, run, type TaskList, Logger as WorkerLogger } from 'graphile-worker'
import type { Logger } from '../observability/logger.ts'

export interface JobWorkerOptions {
  databaseUrl: string
  /** That the jobs live in: one of their own, which is made when it is not there. */
  schema: string
  logger: Logger
  tasks: TaskList
  /** Jobs that come by the clock, each once for all processes. */
  cron?: CronItem[]
  /** Jobs at once, 2 unless given. */
  concurrency?: number
  /** Milliseconds between two looks for jobs whose time has come. */
  pollMs?: number
  /** False behind a pooler in transaction mode, through which no news of jobs comes either: they wait for a look. */
  preparedStatements?: boolean
  /** Whether to go on trying when it cannot begin at once. */
  mayBeginLate?: boolean
}

export interface JobWorker {
  /** Lets running jobs finish; each is told by its `abortSignal` after five seconds. */
  stop(): Promise<void>
}

const RESTART_MS = 1000

/**
 * Resolves when it works or, if it may begin late, at once. graphile-worker gives up when it cannot note that a job is
 * done, as when PostgreSQL goes away just then; another one then takes its place.
 */
export async function startJobWorker(options: JobWorkerOptions): Promise<JobWorker> {
  const { databaseUrl, schema, logger, tasks, cron = [], concurrency = 2, pollMs = 1000 } = options
  const { preparedStatements = true, mayBeginLate = false } = options
  const stopping = new AbortController()
  const { signal } = stopping

  async function start(): Promise<Runner> {
    const runner = await run({
      // Without batches, of any size, giving up is an unhandled rejection (0.18), which would end the process.
      preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      connectionString: databaseUrl,
      schema,
      taskList: tasks,
      parsedCronItems: parseCronItems(cron),
      // One connection waits for news of jobs; each job has one to itself when it begins and ends.
      maxPoolSize: concurrency + 1,
      concurrency,
      pollInterval: pollMs,
      noPreparedStatements: !preparedStatements,
      noHandleSignals: true,
      logger: toWorkerLogger(logger),
    })
    runner.promise.catch(error => logger.error({ err: error }, 'the job worker failed'))
    return runner
  }

  async function restart(): Promise<Runner> {
    for (let isFirst = true; ; isFirst = false) {
      await delay(RESTART_MS, undefined, { signal })
      try {
        return await start()
      } catch (error) {
        if (isFirst) logger.warn({ err: error }, 'the job worker cannot begin right now; it goes on trying')
      }
    }
  }

  /** The event tells: one that has given up does not always end, nor its promise. */
  async function keep(): Promise<void> {
    for (;;) {
      current ??= await restart()
      await once(current.events, 'pool:gracefulShutdown', { signal })
      logger.warn('the job worker has given up; it is begun again')
      current = undefined
    }
  }

  let current: Runner | undefined = mayBeginLate ? undefined : await start()
  // Ends with the signal only.
  const kept = keep().catch(() => {})

  return {
    async stop() {
      stopping.abort()
      await kept
      // One that has given up refuses to be stopped.
      await current?.stop().catch(() => {})
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
