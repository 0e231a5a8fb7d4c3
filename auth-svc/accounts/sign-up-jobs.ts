import { type Kysely, sql } from 'kysely'
import { JOBS_SCHEMA, type Tables } from '../tables.ts'

/** Name of the job that completes a pending account. */
export const COMPLETE_SIGN_UP = 'complete_sign_up'

export interface CompleteSignUpPayload {
  userId: string
}

/** Jobs that complete pending accounts; at most one for each account. */
export interface SignUpJobs {
  /** Schedules the job in `delayMs` milliseconds. Replaces a job that has not started yet. */
  schedule(userId: string, options: { delayMs: number }): Promise<void>
  cancel(userId: string): Promise<void>
}

/** @param db the transaction that changes the account, so that both take effect together; or the database. */
export function createSignUpJobs(db: Kysely<Tables>): SignUpJobs {
  const schema = sql.id(JOBS_SCHEMA)
  const jobKey = (userId: string) => `${COMPLETE_SIGN_UP}:${userId}`
  return {
    async schedule(userId, { delayMs }) {
      const payload: CompleteSignUpPayload = { userId }
      await sql`
        select ${schema}.add_job(
          ${COMPLETE_SIGN_UP},
          payload => ${JSON.stringify(payload)}::json,
          run_at => clock_timestamp() + ${delayMs} * interval '1 millisecond',
          job_key => ${jobKey(userId)}
        )`.execute(db)
    },
    async cancel(userId) {
      await sql`select ${schema}.remove_job(${jobKey(userId)})`.execute(db)
    },
  }
}
