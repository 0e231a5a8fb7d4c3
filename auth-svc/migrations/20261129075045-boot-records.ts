/**
 * What auth-svc must know of its former settings: the longest lifetime of an access token, for which revocations are
 * kept, and a check value of the pepper of the stored passwords. The previous release does not use the table.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table boot_records (
      access_token_ttl_s integer not null default 0,
      pepper_id text,
      pepper_check bytea
    )`.execute(db)
  await sql`create unique index boot_records_is_one_row on boot_records ((true))`.execute(db)
  await sql`insert into boot_records default values`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table boot_records`.execute(db)
}
