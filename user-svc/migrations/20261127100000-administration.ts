/**
 * What administrators ask by. `doc_count` has no index, although a report orders by it: each document that is written
 * would then write the user's entry in every index of users anew (PostgreSQL, "Heap-Only Tuples"), for a report that
 * reads a hundred thousand users in a moment.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index users_by_age on users_all (created_at, id)`.execute(db)
  await sql`
    create index users_of_department on users_all (department, created_at, id) where deleted_at is null`.execute(db)
  // For the beginning of an address, in whatever collation the database is.
  await sql`create index users_email_prefix on users_all (email text_pattern_ops)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop index users_by_age, users_of_department, users_email_prefix`.execute(db)
}
