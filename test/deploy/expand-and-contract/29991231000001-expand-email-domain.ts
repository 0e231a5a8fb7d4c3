/**
 * Expand: adds the column and a trigger that fills it on every write, because the previous release does not know the
 * column. Adding a nullable column rewrites no row, so the lock is short.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table users_all add column email_domain text`.execute(db)
  await sql`
    create function set_email_domain() returns trigger language plpgsql as $$
    begin
      new.email_domain := split_part(new.email, '@', 2);
      return new;
    end $$`.execute(db)
  await sql`
    create trigger set_email_domain before insert or update of email on users_all
    for each row execute function set_email_domain()`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop trigger set_email_domain on users_all`.execute(db)
  await sql`drop function set_email_domain`.execute(db)
  await sql`alter table users_all drop column email_domain`.execute(db)
}
