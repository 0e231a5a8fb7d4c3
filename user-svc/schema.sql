-- Made by `make schema` from the migrations, to be read and compared; do not edit.

create table account_changes (
  sequence bigint not null generated always as identity,
  user_id uuid not null,
  role text not null,
  closed boolean not null,
  changed_at timestamp with time zone not null default clock_timestamp(),
  erased boolean not null default false,
  constraint account_changes_pkey PRIMARY KEY (sequence)
);

create table comments_all (
  id uuid not null default uuidv7(),
  document_id uuid not null,
  author_id uuid not null,
  body text not null,
  sentiment double precision,
  created_at timestamp with time zone not null default clock_timestamp(),
  deleted_at timestamp with time zone,
  deleted_by uuid,
  constraint comments_all_sentiment_check CHECK (((sentiment >= ('-1'::integer)::double precision) AND (sentiment <= (1)::double precision))),
  constraint comments_all_author_id_fkey FOREIGN KEY (author_id) REFERENCES users_all(id),
  constraint comments_all_document_id_fkey FOREIGN KEY (document_id) REFERENCES documents_all(id) ON DELETE CASCADE,
  constraint comments_all_pkey PRIMARY KEY (id)
);

create table document_grants (
  document_id uuid not null,
  user_id uuid not null,
  access text not null,
  granted_by uuid not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  constraint document_grants_access_check CHECK ((access = ANY (ARRAY['read'::text, 'write'::text]))),
  constraint document_grants_document_id_fkey FOREIGN KEY (document_id) REFERENCES documents_all(id) ON DELETE CASCADE,
  constraint document_grants_user_id_fkey FOREIGN KEY (user_id) REFERENCES users_all(id) ON DELETE CASCADE,
  constraint document_grants_pkey PRIMARY KEY (document_id, user_id)
);

create table documents_all (
  id uuid not null default uuidv7(),
  owner_id uuid not null,
  title text not null,
  body text not null default ''::text,
  tags text[] not null default '{}'::text[],
  visibility text not null default 'private'::text,
  department text not null default ''::text,
  version integer not null default 1,
  created_at timestamp with time zone not null default clock_timestamp(),
  updated_at timestamp with time zone not null default clock_timestamp(),
  deleted_at timestamp with time zone,
  deleted_by uuid,
  search tsvector not null generated always as ((setweight(to_tsvector('english'::regconfig, title), 'A'::"char") || setweight(to_tsvector('english'::regconfig, body), 'B'::"char"))) stored,
  constraint documents_all_visibility_check CHECK ((visibility = ANY (ARRAY['private'::text, 'department'::text, 'public'::text]))),
  constraint documents_department_named CHECK (((visibility <> 'department'::text) OR (department <> ''::text))),
  constraint documents_all_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES users_all(id),
  constraint documents_all_pkey PRIMARY KEY (id)
);

create table erasures (
  user_id uuid not null,
  requested_by uuid,
  requested_at timestamp with time zone not null default clock_timestamp(),
  documents integer not null default 0,
  comments integer not null default 0,
  grants integer not null default 0,
  identity_erased_at timestamp with time zone,
  purged_at timestamp with time zone,
  constraint erasures_pkey PRIMARY KEY (user_id)
);

create table users_all (
  id uuid not null,
  email text not null,
  name text not null default ''::text,
  role text not null default 'user'::text,
  department text not null default ''::text,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  deleted_by uuid,
  doc_count integer not null default 0,
  erased_at timestamp with time zone,
  constraint users_all_role_check CHECK ((role = ANY (ARRAY['user'::text, 'editor'::text, 'moderator'::text, 'admin'::text]))),
  constraint users_erased_stay_closed CHECK (((erased_at IS NULL) OR (deleted_at IS NOT NULL))),
  constraint users_all_pkey PRIMARY KEY (id)
);

CREATE INDEX comments_deleted ON users.comments_all USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX comments_of_author ON users.comments_all USING btree (author_id, created_at, id);

CREATE INDEX comments_of_document ON users.comments_all USING btree (document_id, created_at, id);

CREATE INDEX document_grants_of_user ON users.document_grants USING btree (user_id, document_id);

CREATE INDEX documents_deleted ON users.documents_all USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX documents_newest ON users.documents_all USING btree (updated_at, id) WHERE (deleted_at IS NULL);

CREATE INDEX documents_newest_by_age ON users.documents_all USING btree (created_at, id) WHERE (deleted_at IS NULL);

CREATE INDEX documents_of_department ON users.documents_all USING btree (department, updated_at, id) WHERE ((visibility <> 'private'::text) AND (deleted_at IS NULL));

CREATE INDEX documents_of_department_by_age ON users.documents_all USING btree (department, created_at, id) WHERE ((visibility <> 'private'::text) AND (deleted_at IS NULL));

CREATE INDEX documents_of_owner ON users.documents_all USING btree (owner_id, updated_at, id);

CREATE INDEX documents_of_owner_by_age ON users.documents_all USING btree (owner_id, created_at, id);

CREATE INDEX documents_public ON users.documents_all USING btree (updated_at, id) WHERE ((visibility = 'public'::text) AND (deleted_at IS NULL));

CREATE INDEX documents_public_by_age ON users.documents_all USING btree (created_at, id) WHERE ((visibility = 'public'::text) AND (deleted_at IS NULL));

CREATE INDEX documents_search ON users.documents_all USING gin (search) WHERE (deleted_at IS NULL);

CREATE INDEX documents_tags ON users.documents_all USING gin (tags) WHERE (deleted_at IS NULL);

CREATE INDEX erasures_to_purge ON users.erasures USING btree (requested_at) WHERE (purged_at IS NULL);

CREATE INDEX users_administrators ON users.users_all USING btree (id) WHERE ((role = 'admin'::text) AND (deleted_at IS NULL));

CREATE INDEX users_by_age ON users.users_all USING btree (created_at, id);

CREATE INDEX users_closed ON users.users_all USING btree (id) WHERE (deleted_at IS NOT NULL);

CREATE UNIQUE INDEX users_email ON users.users_all USING btree (email) WHERE (deleted_at IS NULL);

CREATE INDEX users_email_prefix ON users.users_all USING btree (email text_pattern_ops);

CREATE INDEX users_newest ON users.users_all USING btree (created_at, id) WHERE (deleted_at IS NULL);

CREATE INDEX users_of_department ON users.users_all USING btree (department, created_at, id) WHERE (deleted_at IS NULL);

CREATE INDEX users_to_erase ON users.users_all USING btree (deleted_at) WHERE ((deleted_at IS NOT NULL) AND (erased_at IS NULL));

create view comments as
 SELECT id,
    document_id,
    author_id,
    body,
    sentiment,
    created_at
   FROM comments_all
  WHERE ((deleted_at IS NULL) AND (NOT (EXISTS ( SELECT
           FROM users_all
          WHERE ((users_all.id = comments_all.author_id) AND (users_all.deleted_at IS NOT NULL))))) AND (EXISTS ( SELECT
           FROM documents
          WHERE (documents.id = comments_all.document_id))));

create view documents as
 SELECT id,
    owner_id,
    title,
    body,
    tags,
    visibility,
    department,
    version,
    created_at,
    updated_at,
    search
   FROM documents_all
  WHERE ((deleted_at IS NULL) AND (NOT (EXISTS ( SELECT
           FROM users_all
          WHERE ((users_all.id = documents_all.owner_id) AND (users_all.deleted_at IS NOT NULL))))));

create view users as
 SELECT id,
    email,
    name,
    role,
    department,
    created_at,
    updated_at,
    doc_count
   FROM users_all
  WHERE (deleted_at IS NULL);

CREATE OR REPLACE FUNCTION users.before_account_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'users'
AS $function$
    begin
      perform lock_account_changes();
      return null;
    end $function$;

CREATE OR REPLACE FUNCTION users.close_user()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'users'
AS $function$
    begin
      update users_all
      set deleted_at = clock_timestamp(), deleted_by = nullif(current_setting('gatehouse.actor', true), '')::uuid
      where id = old.id and deleted_at is null;
      -- Null when another transaction was first: the row then does not count as deleted by this one.
      return case when found then old end;
    end $function$;

CREATE OR REPLACE FUNCTION users.count_added_documents()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'users'
AS $function$
    begin
      update users_all set doc_count = doc_count + added.number
      from (
        select owner_id, count(*) as number from added_documents where deleted_at is null group by owner_id
      ) as added
      where users_all.id = added.owner_id;
      return null;
    end $function$;

CREATE OR REPLACE FUNCTION users.count_changed_document()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'users'
AS $function$
    begin
      if old.deleted_at is null then
        update users_all set doc_count = doc_count - 1 where id = old.owner_id;
      end if;
      if new.deleted_at is null then
        update users_all set doc_count = doc_count + 1 where id = new.owner_id;
      end if;
      return null;
    end $function$;

CREATE OR REPLACE FUNCTION users.count_removed_documents()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'users'
AS $function$
    begin
      update users_all set doc_count = doc_count - removed.number
      from (
        select owner_id, count(*) as number from removed_documents where deleted_at is null group by owner_id
      ) as removed
      where users_all.id = removed.owner_id;
      return null;
    end $function$;

CREATE OR REPLACE FUNCTION users.delete_comment()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'users'
AS $function$
    begin
      update comments_all
      set deleted_at = clock_timestamp(), deleted_by = nullif(current_setting('gatehouse.actor', true), '')::uuid
      where id = old.id and deleted_at is null;
      return case when found then old end;
    end $function$;

CREATE OR REPLACE FUNCTION users.delete_document()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'users'
AS $function$
    begin
      update documents_all
      set deleted_at = clock_timestamp(), deleted_by = nullif(current_setting('gatehouse.actor', true), '')::uuid
      where id = old.id and deleted_at is null;
      return case when found then old end;
    end $function$;

CREATE OR REPLACE FUNCTION users.lock_account_changes()
 RETURNS void
 LANGUAGE sql
AS $function$
      select pg_advisory_xact_lock(hashtextextended('users.account_changes', 0))
    $function$;

CREATE OR REPLACE FUNCTION users.record_account_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'users'
AS $function$
    begin
      insert into account_changes (user_id, role, closed, erased)
      values (new.id, new.role, new.deleted_at is not null, new.erased_at is not null);
      return null;
    end $function$;

CREATE OR REPLACE FUNCTION users.touch_document()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
    begin
      new.updated_at := clock_timestamp();
      new.version := old.version + 1;
      return new;
    end $function$;

CREATE OR REPLACE FUNCTION users.touch_user()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'users'
AS $function$
    begin
      -- Not now(): two transactions may begin in one order and update in the other.
      new.updated_at := clock_timestamp();
      return new;
    end $function$;

CREATE TRIGGER delete INSTEAD OF DELETE ON users.comments FOR EACH ROW EXECUTE FUNCTION delete_comment();

CREATE TRIGGER delete INSTEAD OF DELETE ON users.documents FOR EACH ROW EXECUTE FUNCTION delete_document();

CREATE TRIGGER count_added AFTER INSERT ON users.documents_all REFERENCING NEW TABLE AS added_documents FOR EACH STATEMENT EXECUTE FUNCTION count_added_documents();

CREATE TRIGGER count_changed AFTER UPDATE OF deleted_at, owner_id ON users.documents_all FOR EACH ROW WHEN ((((old.deleted_at IS NULL) IS DISTINCT FROM (new.deleted_at IS NULL)) OR (old.owner_id IS DISTINCT FROM new.owner_id))) EXECUTE FUNCTION count_changed_document();

CREATE TRIGGER count_removed AFTER DELETE ON users.documents_all REFERENCING OLD TABLE AS removed_documents FOR EACH STATEMENT EXECUTE FUNCTION count_removed_documents();

CREATE TRIGGER touch BEFORE UPDATE ON users.documents_all FOR EACH ROW WHEN ((((((old.title IS DISTINCT FROM new.title) OR (old.body IS DISTINCT FROM new.body)) OR (old.tags IS DISTINCT FROM new.tags)) OR (old.visibility IS DISTINCT FROM new.visibility)) OR (old.department IS DISTINCT FROM new.department))) EXECUTE FUNCTION touch_document();

CREATE TRIGGER close INSTEAD OF DELETE ON users.users FOR EACH ROW EXECUTE FUNCTION close_user();

CREATE TRIGGER lock_account_changes BEFORE UPDATE OF role, deleted_at, erased_at ON users.users_all FOR EACH STATEMENT EXECUTE FUNCTION before_account_change();

CREATE TRIGGER record_account_change AFTER UPDATE OF role, deleted_at, erased_at ON users.users_all FOR EACH ROW WHEN ((((old.role IS DISTINCT FROM new.role) OR (old.deleted_at IS DISTINCT FROM new.deleted_at)) OR (old.erased_at IS DISTINCT FROM new.erased_at))) EXECUTE FUNCTION record_account_change();

CREATE TRIGGER touch BEFORE UPDATE ON users.users_all FOR EACH ROW WHEN ((((((old.email IS DISTINCT FROM new.email) OR (old.name IS DISTINCT FROM new.name)) OR (old.role IS DISTINCT FROM new.role)) OR (old.department IS DISTINCT FROM new.department)) OR (old.deleted_at IS DISTINCT FROM new.deleted_at))) EXECUTE FUNCTION touch_user();
