/**
 * Account changes that could not be applied and were set aside, so that later changes are applied. A row holds the
 * change itself, because user-svc may purge the user in the meantime. The previous release does not use the table.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table failed_account_changes (
      sequence bigint primary key,
      user_id uuid not null,
      role text not null,
      closed boolean not null,
      erased boolean not null,
      error text not null,
      attempts integer not null,
      failed_at timestamptz not null default clock_timestamp()
    )`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table failed_account_changes`.execute(db)
}
