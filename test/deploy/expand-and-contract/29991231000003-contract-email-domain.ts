/**
 * Contract: makes the column NOT NULL. A check that is not validated takes an exclusive lock for a moment; its
 * validation scans the table under a lock that allows reads and writes. One transaction would keep the exclusive lock
 * during the scan, so there is none.
 */
import { type Kysely, sql } from 'kysely'

export const transaction = false

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table users_all drop constraint if exists users_email_domain_there`.execute(db)
  await sql`
    alter table users_all add constraint users_email_domain_there check (email_domain is not null) not valid`.execute(
    db,
  )
  await sql`alter table users_all validate constraint users_email_domain_there`.execute(db)
  // Needs no scan, because PostgreSQL uses the validated check.
  await sql`alter table users_all alter column email_domain set not null`.execute(db)
  await sql`alter table users_all drop constraint users_email_domain_there`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`alter table users_all alter column email_domain drop not null`.execute(db)
}
