/** The job queue of a service: graphile-worker on PostgreSQL. Each job runs in one of the service's processes. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { type CronItem, parseCronItems, type Runner, run, type TaskList, Logger as WorkerLogger } from 'graphile-worker'
import type { Logger } from '../observability/logger.ts'
import { limitRepeatedWarnings } from '../observability/repeated-warnings.ts'
import { ReplacingPool } from './replacing-pool.ts'

export interface JobWorkerOptions {
  databaseUrl: string
  /** Schema of the queue's tables, separate from the service's. Created if it does not exist. */
  schema: string
  logger: Logger
  /** Functions by task name. */
  tasks: TaskList
  /** Cron jobs; each run is executed by one process. Default none. */
  cron?: CronItem[]
  /** Maximum number of jobs at a time in this process. Default 2. */
  concurrency?: number
  /** Interval of look-ups of scheduled jobs, in milliseconds. Default 1,000. New jobs are notified at once. */
  pollMs?: number
  /**
   * Default true. Set to false behind a connection pooler in transaction mode. Notifications do not pass such a pooler
   * either, so a new job starts after `pollMs` at the latest.
   */
  preparedStatements?: boolean
  /** Starts in the background and retries every second until the database is available. Default false. */
  startInBackground?: boolean
}

export interface JobWorker {
  /** Waits for running jobs. Their `abortSignal` is aborted after 5 s. */
  stop(): Promise<void>
}

const RESTART_MS = 1000
/** Maximum time in milliseconds of a statement of the queue. */
const STATEMENT_TIMEOUT_MS = 4500
/** Maximum time in milliseconds to connect, and to wait for a reply. Then all connections of the queue are replaced. */
const REPLY_TIMEOUT_MS = 5000

/**
 * Starts a worker. Resolves when it accepts jobs, or immediately with `startInBackground`.
 *
 * graphile-worker shuts down when it cannot record that a job has completed, for example because PostgreSQL became
 * unavailable. A new worker is then started after 1 s.
 * @throws the error of the first connection attempt, unless `startInBackground` is set.
 */
export async function startJobWorker(options: JobWorkerOptions): Promise<JobWorker> {
  const { databaseUrl, schema, logger, tasks, cron = [], concurrency = 2, pollMs = 1000 } = options
  const { preparedStatements = true, startInBackground = false } = options
  const stopping = new AbortController()
  const { signal } = stopping
  const warn = limitRepeatedWarnings(logger)
  // The connection that listens for notifications sends nothing, so that it would stay half-open. It ends with the others.
  const pool = new ReplacingPool(
    {
      connectionString: databaseUrl,
      // One connection listens for notifications; each job uses one when it starts and when it ends.
      max: concurrency + 1,
      connectionTimeoutMillis: REPLY_TIMEOUT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: REPLY_TIMEOUT_MS,
    },
    error => warn(error.message, { err: error }, 'database connection of the job queue lost'),
  )

  async function start(): Promise<Runner> {
    const runner = await run({
      // Enables batching of completions. Without it (0.18) the failure to record one is an unhandled rejection.
      preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      pgPool: pool,
      schema,
      taskList: tasks,
      parsedCronItems: parseCronItems(cron),
      concurrency,
      pollInterval: pollMs,
      noPreparedStatements: !preparedStatements,
      noHandleSignals: true,
      logger: toWorkerLogger(logger),
    })
    runner.promise.catch(error => logger.error({ err: error }, 'job worker failed'))
    return runner
  }

  async function restart(): Promise<Runner> {
    for (let isFirst = true; ; isFirst = false) {
      await delay(RESTART_MS, undefined, { signal })
      try {
        return await start()
      } catch (error) {
        if (isFirst) logger.warn({ err: error }, 'job worker cannot start; retrying every second')
      }
    }
  }

  /** Waits for the event and not for `runner.promise`, which does not always settle after an internal shutdown. */
  async function supervise(): Promise<void> {
    for (;;) {
      current ??= await restart()
      await once(current.events, 'pool:gracefulShutdown', { signal })
      logger.warn('job worker shut down; restarting it')
      current = undefined
    }
  }

  let current: Runner | undefined = startInBackground ? undefined : await start()
  // Rejects when `stop` aborts the signal.
  const supervised = supervise().catch(() => {})

  return {
    async stop() {
      stopping.abort()
      await supervised
      // Rejects if the worker has already shut down.
      await current?.stop().catch(() => {})
      // Not awaited: a connection that is in use after a failed stop would keep it waiting.
      void pool.end()
    },
  }
}

const LEVELS = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const

/** Adapts a logger for graphile-worker. Its level `info`, used for every job, becomes `debug`. */
export function toWorkerLogger(logger: Logger): WorkerLogger {
  return new WorkerLogger(scope => (level, message, meta) => {
    logger[LEVELS[level]]({ ...scope, ...(meta?.['error'] instanceof Error && { err: meta['error'] }) }, message)
  })
}
