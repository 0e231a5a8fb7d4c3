/**
 * Documents, comments and grants, in the manner of users: `*_all` holds what ever was, a view shows what is there, a
 * DELETE on the view marks.
 *
 * What belongs to a closed account is not there either, and comes back with it. No row says so: the views ask whether the
 * owner, the author, the document is closed. To mark a million rows with every account, and to know at its return which
 * of them had been marked for which reason, is what this saves; closed accounts are few, and their index is a small one.
 *
 * `users_all.doc_count` counts documents that are not deleted, whether or not the owner is closed. Triggers keep it in the
 * transaction of the change. Documents are counted by statement where many come at once, by row where few do.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table users_all add column doc_count integer not null default 0`.execute(db)
  await sql`create index users_closed on users_all (id) where deleted_at is not null`.execute(db)
  await sql`
    create or replace view users as
    select id, email, name, role, department, created_at, updated_at, doc_count from users_all
    where deleted_at is null`.execute(db)
  // A document more is no change of the user.
  await sql`drop trigger touch on users_all`.execute(db)
  await sql`
    create trigger touch before update on users_all
    for each row when (
      (old.email, old.name, old.role, old.department, old.deleted_at)
      is distinct from (new.email, new.name, new.role, new.department, new.deleted_at)
    ) execute function touch_user()`.execute(db)

  await createDocuments(db)
  await createComments(db)

  await sql`
    create table document_grants (
      document_id uuid not null references documents_all on delete cascade,
      user_id uuid not null references users_all on delete cascade,
      access text not null check (access in ('read', 'write')),
      granted_by uuid not null,
      created_at timestamptz not null default clock_timestamp(),
      primary key (document_id, user_id)
    )`.execute(db)
  await sql`create index document_grants_of_user on document_grants (user_id, document_id)`.execute(db)
}

async function createDocuments(db: Kysely<unknown>): Promise<void> {
  // The ids are in the order of time: an index grows at one end.
  await sql`
    create table documents_all (
      id uuid primary key default uuidv7(),
      owner_id uuid not null references users_all,
      title text not null,
      body text not null default '',
      tags text[] not null default '{}',
      visibility text not null default 'private' check (visibility in ('private', 'department', 'public')),
      department text not null default '',
      version integer not null default 1,
      created_at timestamptz not null default clock_timestamp(),
      updated_at timestamptz not null default clock_timestamp(),
      deleted_at timestamptz,
      deleted_by uuid,
      constraint documents_department_named check (visibility <> 'department' or department <> ''),
      search tsvector not null generated always as (
        setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', body), 'B')
      ) stored
    )`.execute(db)
  // One pair of orders for each way in which a document may be read; see access-rules.ts.
  await sql`create index documents_newest on documents_all (updated_at, id) where deleted_at is null`.execute(db)
  await sql`create index documents_newest_by_age on documents_all (created_at, id) where deleted_at is null`.execute(db)
  await sql`create index documents_of_owner on documents_all (owner_id, updated_at, id)`.execute(db)
  await sql`create index documents_of_owner_by_age on documents_all (owner_id, created_at, id)`.execute(db)
  await sql`
    create index documents_public on documents_all (updated_at, id)
    where visibility = 'public' and deleted_at is null`.execute(db)
  await sql`
    create index documents_public_by_age on documents_all (created_at, id)
    where visibility = 'public' and deleted_at is null`.execute(db)
  await sql`
    create index documents_of_department on documents_all (department, updated_at, id)
    where visibility <> 'private' and deleted_at is null`.execute(db)
  await sql`
    create index documents_of_department_by_age on documents_all (department, created_at, id)
    where visibility <> 'private' and deleted_at is null`.execute(db)
  await sql`create index documents_tags on documents_all using gin (tags) where deleted_at is null`.execute(db)
  await sql`create index documents_search on documents_all using gin (search) where deleted_at is null`.execute(db)
  await sql`create index documents_deleted on documents_all (deleted_at) where deleted_at is not null`.execute(db)

  await sql`
    create view documents as
    select id, owner_id, title, body, tags, visibility, department, version, created_at, updated_at, search
    from documents_all
    where deleted_at is null
      and not exists (select from users_all where users_all.id = owner_id and users_all.deleted_at is not null)`.execute(
    db,
  )
  await sql`
    create function touch_document() returns trigger language plpgsql as $$
    begin
      new.updated_at := clock_timestamp();
      new.version := old.version + 1;
      return new;
    end $$`.execute(db)
  await sql`
    create trigger touch before update on documents_all
    for each row when (
      (old.title, old.body, old.tags, old.visibility, old.department)
      is distinct from (new.title, new.body, new.tags, new.visibility, new.department)
    ) execute function touch_document()`.execute(db)
  await sql`
    create function delete_document() returns trigger language plpgsql set search_path from current as $$
    begin
      update documents_all
      set deleted_at = clock_timestamp(), deleted_by = nullif(current_setting('gatehouse.actor', true), '')::uuid
      where id = old.id and deleted_at is null;
      return case when found then old end;
    end $$`.execute(db)
  await sql`
    create trigger delete instead of delete on documents
    for each row execute function delete_document()`.execute(db)

  await sql`
    create function count_added_documents() returns trigger language plpgsql set search_path from current as $$
    begin
      update users_all set doc_count = doc_count + added.number
      from (
        select owner_id, count(*) as number from added_documents where deleted_at is null group by owner_id
      ) as added
      where users_all.id = added.owner_id;
      return null;
    end $$`.execute(db)
  await sql`
    create trigger count_added after insert on documents_all referencing new table as added_documents
    for each statement execute function count_added_documents()`.execute(db)
  await sql`
    create function count_removed_documents() returns trigger language plpgsql set search_path from current as $$
    begin
      update users_all set doc_count = doc_count - removed.number
      from (
        select owner_id, count(*) as number from removed_documents where deleted_at is null group by owner_id
      ) as removed
      where users_all.id = removed.owner_id;
      return null;
    end $$`.execute(db)
  await sql`
    create trigger count_removed after delete on documents_all referencing old table as removed_documents
    for each statement execute function count_removed_documents()`.execute(db)
  await sql`
    create function count_changed_document() returns trigger language plpgsql set search_path from current as $$
    begin
      if old.deleted_at is null then
        update users_all set doc_count = doc_count - 1 where id = old.owner_id;
      end if;
      if new.deleted_at is null then
        update users_all set doc_count = doc_count + 1 where id = new.owner_id;
      end if;
      return null;
    end $$`.execute(db)
  await sql`
    create trigger count_changed after update of deleted_at, owner_id on documents_all
    for each row when (
      (old.deleted_at is null, old.owner_id) is distinct from (new.deleted_at is null, new.owner_id)
    ) execute function count_changed_document()`.execute(db)
}

async function createComments(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table comments_all (
      id uuid primary key default uuidv7(),
      document_id uuid not null references documents_all on delete cascade,
      author_id uuid not null references users_all,
      body text not null,
      sentiment double precision check (sentiment between -1 and 1),
      created_at timestamptz not null default clock_timestamp(),
      deleted_at timestamptz,
      deleted_by uuid
    )`.execute(db)
  await sql`create index comments_of_document on comments_all (document_id, created_at, id)`.execute(db)
  await sql`create index comments_of_author on comments_all (author_id)`.execute(db)
  await sql`create index comments_deleted on comments_all (deleted_at) where deleted_at is not null`.execute(db)

  await sql`
    create view comments as
    select id, document_id, author_id, body, sentiment, created_at from comments_all
    where deleted_at is null
      and not exists (select from users_all where users_all.id = author_id and users_all.deleted_at is not null)
      and exists (select from documents where documents.id = document_id)`.execute(db)
  await sql`
    create function delete_comment() returns trigger language plpgsql set search_path from current as $$
    begin
      update comments_all
      set deleted_at = clock_timestamp(), deleted_by = nullif(current_setting('gatehouse.actor', true), '')::uuid
      where id = old.id and deleted_at is null;
      return case when found then old end;
    end $$`.execute(db)
  await sql`
    create trigger delete instead of delete on comments
    for each row execute function delete_comment()`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop view comments, documents`.execute(db)
  await sql`drop table document_grants, comments_all, documents_all`.execute(db)
  await sql`
    drop function touch_document, delete_document, count_added_documents, count_removed_documents,
      count_changed_document, delete_comment`.execute(db)
  await sql`drop trigger touch on users_all`.execute(db)
  await sql`
    create trigger touch before update on users_all
    for each row when (old.* is distinct from new.*) execute function touch_user()`.execute(db)
  // A view cannot lose a column by being replaced, nor be dropped without its trigger.
  await sql`drop view users`.execute(db)
  await sql`
    create view users as
    select id, email, name, role, department, created_at, updated_at from users_all where deleted_at is null`.execute(
    db,
  )
  await sql`
    create trigger close instead of delete on users for each row execute function close_user()`.execute(db)
  await sql`drop index users_closed`.execute(db)
  await sql`alter table users_all drop column doc_count`.execute(db)
}
