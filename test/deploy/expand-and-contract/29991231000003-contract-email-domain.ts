/**
 * Contract: the column must be there. Demanded of new rows first, which takes a strong lock for a moment, and then looked
 * for in the old ones under a lock that lets others read and write. In one transaction the first lock would be kept during
 * the second step.
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
  // Looks at no row: the check says it.
  await sql`alter table users_all alter column email_domain set not null`.execute(db)
  await sql`alter table users_all drop constraint users_email_domain_there`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`alter table users_all alter column email_domain drop not null`.execute(db)
}
