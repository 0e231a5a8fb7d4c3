import type { Logger } from '#runtime/observability/logger.ts'
import { type JobWorker, startJobWorker } from '#runtime/postgres/job-worker.ts'
import { JOBS_SCHEMA } from '../tables.ts'
import type { Retention } from './retention.ts'

export interface RetentionJobOptions {
  databaseUrl: string
  preparedStatements: boolean
  retention: Retention
  logger: Logger
  /** Milliseconds between two looks; it is in no hurry. */
  pollMs?: number
}

const RETENTION = 'retention'

/**
 * Each hour, by one process; its queue does one job after the other, so that two never run at once. One that a process
 * died over is held for four hours, by graphile-worker, and then gone on with.
 */
export function startRetentionJob(options: RetentionJobOptions): Promise<JobWorker> {
  const { databaseUrl, preparedStatements, retention, logger, pollMs = 10_000 } = options
  return startJobWorker({
    databaseUrl,
    schema: JOBS_SCHEMA,
    logger,
    preparedStatements,
    concurrency: 1,
    // Without PostgreSQL user-svc starts all the same.
    mayBeginLate: true,
    pollMs,
    cron: [{ task: RETENTION, match: '23 * * * *', options: { queueName: RETENTION, jobKey: RETENTION } }],
    tasks: {
      async [RETENTION](_payload, { abortSignal }) {
        const counts = await retention.run(abortSignal)
        if (Object.values(counts).some(count => count > 0)) logger.info(counts, 'what was past its retention is gone')
      },
    },
  })
}
