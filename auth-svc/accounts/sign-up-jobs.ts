import { type Kysely, sql } from 'kysely'
import { JOBS_SCHEMA, type Tables } from '../tables.ts'

/** The job that completes a sign-up which its request did not. */
export const COMPLETE_SIGN_UP = 'complete_sign_up'

export interface CompleteSignUp {
  userId: string
}

export interface SignUpJobs {
  /** Takes the place of the user's job that is waiting. */
  add(userId: string, options: { delayMs: number }): Promise<void>
  remove(userId: string): Promise<void>
}

/** @param db the transaction of the fact that the job follows from. */
export function createSignUpJobs(db: Kysely<Tables>): SignUpJobs {
  const schema = sql.id(JOBS_SCHEMA)
  const keyOf = (userId: string) => `${COMPLETE_SIGN_UP}:${userId}`
  return {
    async add(userId, { delayMs }) {
      const payload: CompleteSignUp = { userId }
      await sql`
        select ${schema}.add_job(
          ${COMPLETE_SIGN_UP},
          payload => ${JSON.stringify(payload)}::json,
          run_at => clock_timestamp() + ${delayMs} * interval '1 millisecond',
          job_key => ${keyOf(userId)}
        )`.execute(db)
    },
    async remove(userId) {
      await sql`select ${schema}.remove_job(${keyOf(userId)})`.execute(db)
    },
  }
}
