/** All sessions of a user, for the export. `sessions_of_user` has only those that were not ended. */
import { type Kysely, sql } from 'kysely'

export const transaction = false

export async function up(db: Kysely<unknown>): Promise<void> {
  // Waits for earlier transactions without blocking other statements.
  await sql`set lock_timeout = 0`.execute(db)
  // Left invalid by an interrupted run.
  await sql`drop index concurrently if exists sessions_by_user`.execute(db)
  await sql`create index concurrently sessions_by_user on sessions (user_id, id)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop index concurrently if exists sessions_by_user`.execute(db)
}
