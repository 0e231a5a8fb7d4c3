import type { Logger } from '#runtime/observability/logger.ts'
import { type JobWorker, startJobWorker } from '#runtime/postgres/job-worker.ts'
import { JOBS_SCHEMA } from '../tables.ts'
import type { Retention } from './retention.ts'

export interface RetentionJobOptions {
  databaseUrl: string
  /** Setting `DATABASE_PREPARED`. */
  preparedStatements: boolean
  retention: Retention
  logger: Logger
  /** In milliseconds. Default 10,000. */
  pollMs?: number
}

const RETENTION = 'retention'

/**
 * Runs a retention pass each hour, one at a time over all processes. If a process dies during a pass, graphile-worker
 * releases its job after four hours. Resolves without PostgreSQL too; the job starts when it is available.
 */
export function startRetentionJob(options: RetentionJobOptions): Promise<JobWorker> {
  const { databaseUrl, preparedStatements, retention, logger, pollMs = 10_000 } = options
  return startJobWorker({
    databaseUrl,
    schema: JOBS_SCHEMA,
    logger,
    preparedStatements,
    concurrency: 1,
    startInBackground: true,
    pollMs,
    cron: [{ task: RETENTION, match: '23 * * * *', options: { queueName: RETENTION, jobKey: RETENTION } }],
    tasks: {
      async [RETENTION](_payload, { abortSignal }) {
        const counts = await retention.run(abortSignal)
        if (Object.values(counts).some(count => count > 0)) logger.info(counts, 'data past retention deleted')
      },
    },
  })
}
