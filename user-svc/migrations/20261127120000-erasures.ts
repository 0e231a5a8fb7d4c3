/**
 * Erasure: what is personal goes at once, the rows after the retention; the receipt and `account_changes` stay.
 *
 * The check sees to it that nothing opens an erased account again, whoever writes. auth-svc learns of it by the outbox,
 * as of a closure.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table erasures (
      user_id uuid primary key,
      requested_by uuid,
      requested_at timestamptz not null default clock_timestamp(),
      documents integer not null default 0,
      comments integer not null default 0,
      grants integer not null default 0,
      identity_erased_at timestamptz,
      purged_at timestamptz
    )`.execute(db)
  await sql`create index erasures_to_purge on erasures (requested_at) where purged_at is null`.execute(db)

  await sql`
    alter table users_all
      add column erased_at timestamptz,
      add constraint users_erased_stay_closed check (erased_at is null or deleted_at is not null)`.execute(db)
  await sql`
    create index users_to_erase on users_all (deleted_at) where deleted_at is not null and erased_at is null`.execute(
    db,
  )
  // A user's comments are exported in the order in which they were written.
  await sql`drop index comments_of_author`.execute(db)
  await sql`create index comments_of_author on comments_all (author_id, created_at, id)`.execute(db)

  await sql`alter table account_changes add column erased boolean not null default false`.execute(db)
  await recordChangesOf(db, ['role', 'deleted_at', 'erased_at'], 'new.erased_at is not null')
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await recordChangesOf(db, ['role', 'deleted_at'])
  await sql`alter table account_changes drop column erased`.execute(db)
  await sql`drop index comments_of_author`.execute(db)
  await sql`create index comments_of_author on comments_all (author_id)`.execute(db)
  await sql`drop index users_to_erase`.execute(db)
  await sql`alter table users_all drop constraint users_erased_stay_closed, drop column erased_at`.execute(db)
  await sql`drop table erasures`.execute(db)
}

async function recordChangesOf(db: Kysely<unknown>, columns: readonly string[], erased?: string): Promise<void> {
  const list = (prefix: string) => sql.join(columns.map(column => sql.raw(prefix + column)))
  const [column, value] = erased === undefined ? ['', ''] : [', erased', `, ${erased}`]
  await sql`drop trigger lock_account_changes on users_all`.execute(db)
  await sql`drop trigger record_account_change on users_all`.execute(db)
  await sql`
    create or replace function record_account_change() returns trigger language plpgsql set search_path from current as $$
    begin
      insert into account_changes (user_id, role, closed${sql.raw(column)})
      values (new.id, new.role, new.deleted_at is not null${sql.raw(value)});
      return null;
    end $$`.execute(db)
  await sql`
    create trigger lock_account_changes before update of ${list('')} on users_all
    for each statement execute function before_account_change()`.execute(db)
  await sql`
    create trigger record_account_change after update of ${list('')} on users_all
    for each row when ((${list('old.')}) is distinct from (${list('new.')}))
    execute function record_account_change()`.execute(db)
}
