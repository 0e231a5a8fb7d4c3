/**
 * A closed account keeps its address and its hash, since it may be opened again; user-svc decides that, and tells by a
 * change of its own. The address is free for others meanwhile: it is unique among the accounts that are not closed.
 * Nothing else opens an account: a sign-up that is still being completed finds it closed, not pending. Accounts that were
 * closed before kept neither, and stay closed.
 *
 * An erased account keeps nothing but its id, and is never opened again.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  // As PostgreSQL named them: a closed account had no address, no hash, no scheme.
  await sql`
    alter table accounts
      drop constraint accounts_check1,
      drop constraint accounts_check2,
      drop constraint accounts_check3,
      add column erased_at timestamptz,
      add constraint accounts_open_can_sign_in check (
        status = 'closed' or (email is not null and password_hash is not null and password_scheme is not null)
      ),
      add constraint accounts_erased_keep_nothing check (
        erased_at is null
        or (status = 'closed' and email is null and password_hash is null and password_scheme is null)
      )`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`
    update accounts set email = null, password_hash = null, password_scheme = null where status = 'closed'`.execute(db)
  await sql`
    alter table accounts
      drop constraint accounts_open_can_sign_in,
      drop constraint accounts_erased_keep_nothing,
      drop column erased_at,
      add constraint accounts_check1 check ((status = 'closed') = (email is null)),
      add constraint accounts_check2 check ((status = 'closed') = (password_hash is null)),
      add constraint accounts_check3 check ((status = 'closed') = (password_scheme is null))`.execute(db)
}
