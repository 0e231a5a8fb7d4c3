/**
 * Users. `users_all` holds everybody who ever was one; everything else reads and writes the view `users` of the living,
 * so that no query, typed, raw or typed into psql, can forget that an account was closed. A DELETE on the view marks.
 *
 * Every change of a role and every closure leaves a row in `account_changes`, in the transaction of the change and by
 * trigger, so that no writer can forget it. `sequence` grows in the order of commit, since whoever changes a role or
 * closes an account holds `lock_account_changes()` until the end of its transaction: who has read up to a sequence has
 * missed nothing before it. The statement takes that lock before it locks a row, so two of them cannot deadlock.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table users_all (
      id uuid primary key,
      email text not null,
      name text not null default '',
      role text not null default 'user' check (role in ('user', 'editor', 'moderator', 'admin')),
      department text not null default '',
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      deleted_at timestamptz,
      deleted_by uuid
    )`.execute(db)
  await sql`create unique index users_email on users_all (email) where deleted_at is null`.execute(db)
  await sql`create index users_newest on users_all (created_at, id) where deleted_at is null`.execute(db)
  await sql`create index users_administrators on users_all (id) where role = 'admin' and deleted_at is null`.execute(db)

  // The functions keep the search path of now, so that the triggers work for whoever comes with another one.
  await sql`
    create function touch_user() returns trigger language plpgsql set search_path from current as $$
    begin
      -- Not now(): two transactions may begin in one order and update in the other.
      new.updated_at := clock_timestamp();
      return new;
    end $$`.execute(db)
  await sql`
    create trigger touch before update on users_all
    for each row when (old.* is distinct from new.*) execute function touch_user()`.execute(db)

  await sql`
    create view users as
    select id, email, name, role, department, created_at, updated_at from users_all where deleted_at is null`.execute(
    db,
  )
  await sql`
    create function close_user() returns trigger language plpgsql set search_path from current as $$
    begin
      update users_all
      set deleted_at = clock_timestamp(), deleted_by = nullif(current_setting('gatehouse.actor', true), '')::uuid
      where id = old.id and deleted_at is null;
      -- Null when another transaction was first: the row then does not count as deleted by this one.
      return case when found then old end;
    end $$`.execute(db)
  await sql`
    create trigger close instead of delete on users
    for each row execute function close_user()`.execute(db)

  await sql`
    create table account_changes (
      sequence bigint generated always as identity primary key,
      user_id uuid not null,
      role text not null,
      closed boolean not null,
      changed_at timestamptz not null default clock_timestamp()
    )`.execute(db)
  await sql`
    create function lock_account_changes() returns void language sql as $$
      select pg_advisory_xact_lock(hashtextextended('users.account_changes', 0))
    $$`.execute(db)
  await sql`
    create function before_account_change() returns trigger language plpgsql set search_path from current as $$
    begin
      perform lock_account_changes();
      return null;
    end $$`.execute(db)
  await sql`
    create trigger lock_account_changes before update of role, deleted_at on users_all
    for each statement execute function before_account_change()`.execute(db)
  await sql`
    create function record_account_change() returns trigger language plpgsql set search_path from current as $$
    begin
      insert into account_changes (user_id, role, closed) values (new.id, new.role, new.deleted_at is not null);
      return null;
    end $$`.execute(db)
  await sql`
    create trigger record_account_change after update of role, deleted_at on users_all
    for each row when ((old.role, old.deleted_at) is distinct from (new.role, new.deleted_at))
    execute function record_account_change()`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop view users`.execute(db)
  await sql`drop table users_all, account_changes`.execute(db)
  await sql`
    drop function touch_user, close_user, before_account_change, record_account_change, lock_account_changes`.execute(
    db,
  )
}
