import { type Runner, run, type TaskList, Logger as WorkerLogger } from 'graphile-worker'
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

export async function startJobWorker(options: JobWorkerOptions): Promise<JobWorker> {
  const { databaseUrl, logger, tasks, pollMs = 1000 } = options
  const runner: Runner = await run({
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
  return { stop: () => runner.stop() }
}

const LEVELS = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const

/** graphile-worker's messages in our log; what it calls info is an event of every job. */
export function toWorkerLogger(logger: Logger): WorkerLogger {
  return new WorkerLogger(scope => (level, message, meta) => {
    logger[LEVELS[level]]({ ...scope, ...(meta?.['error'] instanceof Error && { err: meta['error'] }) }, message)
  })
}
