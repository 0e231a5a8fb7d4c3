/**
 * Accounts, sessions, revocations, signing keys, and how far the changes of user-svc have been applied.
 *
 * An account is closed rather than deleted, and keeps nothing but its id then: a sign-up that is still being completed
 * must not bring it back.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table accounts (
      user_id uuid primary key,
      email text,
      password_hash text,
      password_scheme text,
      role text not null check (role in ('user', 'editor', 'moderator', 'admin')),
      status text not null check (status in ('pending', 'active', 'closed')),
      sign_up_name text,
      created_at timestamptz not null default now(),
      closed_at timestamptz,
      check ((status = 'closed') = (closed_at is not null)),
      check ((status = 'closed') = (email is null)),
      check ((status = 'closed') = (password_hash is null)),
      check ((status = 'closed') = (password_scheme is null)),
      check (status = 'pending' or sign_up_name is null)
    )`.execute(db)
  await sql`create unique index accounts_email on accounts (email) where status <> 'closed'`.execute(db)
  await sql`create index accounts_pending on accounts (created_at) where status = 'pending'`.execute(db)

  await sql`
    create table sessions (
      id uuid primary key,
      user_id uuid not null references accounts,
      refresh_nonce bytea not null,
      user_agent text not null,
      address text not null,
      created_at timestamptz not null default clock_timestamp(),
      expires_at timestamptz not null,
      ended_at timestamptz,
      end_reason text check (end_reason in ('logout', 'ended', 'reuse', 'closed')),
      check ((ended_at is null) = (end_reason is null))
    )`.execute(db)
  await sql`create index sessions_of_user on sessions (user_id, created_at desc) where ended_at is null`.execute(db)
  await sql`create index sessions_expiry on sessions (expires_at)`.execute(db)

  await sql`
    create table revocations (
      id bigint generated always as identity primary key,
      kind text not null check (kind in ('sid', 'jti', 'user')),
      target text not null,
      not_after timestamptz,
      expires_at timestamptz not null,
      published_at timestamptz,
      check ((kind = 'user') = (not_after is not null))
    )`.execute(db)
  await sql`create index revocations_unpublished on revocations (id) where published_at is null`.execute(db)
  await sql`create index revocations_expiry on revocations (expires_at)`.execute(db)

  await sql`
    create table signing_keys (
      kid text primary key,
      public_key text not null,
      private_key bytea not null,
      activates_at timestamptz not null
    )`.execute(db)

  await sql`create table account_change_cursor (sequence bigint not null)`.execute(db)
  await sql`create unique index account_change_cursor_is_one_row on account_change_cursor ((true))`.execute(db)
  await sql`insert into account_change_cursor values (0)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table account_change_cursor, signing_keys, revocations, sessions, accounts`.execute(db)
}
