import type { Logger } from '#runtime/observability/logger.ts'
import { type JobWorker, startJobWorker } from '#runtime/postgres/job-worker.ts'
import { JOBS_SCHEMA } from '../tables.ts'
import type { Retention } from './retention.ts'

export interface RetentionJobOptions {
  databaseUrl: string
  /** Whether the job queue may use prepared statements (setting `DATABASE_PREPARED`). */
  preparedStatements: boolean
  retention: Retention
  logger: Logger
  /** Poll interval of the job queue, in milliseconds. Default 10,000. */
  pollMs?: number
}

const RETENTION = 'retention'

/**
 * Starts the cron job that runs a retention pass each hour, in one process at a time. A serial queue prevents concurrent
 * passes. If a process dies during a pass, graphile-worker releases its job after four hours.
 *
 * @returns a worker that must be stopped. Resolves without PostgreSQL too; the job starts when it is available.
 */
export function startRetentionJob(options: RetentionJobOptions): Promise<JobWorker> {
  const { databaseUrl, preparedStatements, retention, logger, pollMs = 10_000 } = options
  return startJobWorker({
    databaseUrl,
    schema: JOBS_SCHEMA,
    logger,
    preparedStatements,
    concurrency: 1,
    // user-svc must start without PostgreSQL.
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
