import { run, type TaskList, Logger as WorkerLogger } from 'graphile-worker'
import type { Logger } from '#runtime/logger.ts'
import { JOBS_SCHEMA } from './tables.ts'

export interface JobWorkerOptions {
  databaseUrl: string
  logger: Logger
  tasks: TaskList
  /** Milliseconds between two looks for jobs whose time has come. */
  pollMs?: number
}

export interface JobWorker {
  /** Lets running jobs finish. */
  stop(): Promise<void>
}

/**
 * Resolves when it works. It outlives lost connections. Should it end all the same, the process does too, in order, by
 * an unhandled rejection: a service whose jobs are left lying must not look sound.
 */
export async function startJobWorker(options: JobWorkerOptions): Promise<JobWorker> {
  const { databaseUrl, logger, tasks, pollMs = 1000 } = options
  let isStopping = false
  const runner = await run({
    connectionString: databaseUrl,
    schema: JOBS_SCHEMA,
    taskList: tasks,
    // One waits for news of jobs, and jobs of ours wait for others rather than compute.
    maxPoolSize: 3,
    concurrency: 4,
    pollInterval: pollMs,
    noHandleSignals: true,
    logger: toWorkerLogger(logger),
  })
  void runner.promise.then(() => {
    if (!isStopping) throw new Error('The job worker has ended')
  })
  return {
    stop() {
      isStopping = true
      return runner.stop()
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
