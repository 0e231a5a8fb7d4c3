/**
 * Rows past retention that could not be deleted or erased, so that a retention run goes on with the others. The previous
 * release does not use the table.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table retention_failures (
      kind text not null check (kind in ('comment', 'document', 'user')),
      id uuid not null,
      error text not null,
      attempts integer not null,
      failed_at timestamptz not null default clock_timestamp(),
      primary key (kind, id)
    )`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table retention_failures`.execute(db)
}
