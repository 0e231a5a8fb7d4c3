-- Made by `make schema` from the migrations, to be read and compared; do not edit.

create table account_change_cursor (
  sequence bigint not null
);

create table accounts (
  user_id uuid not null,
  email text,
  password_hash text,
  password_scheme text,
  role text not null,
  status text not null,
  sign_up_name text,
  created_at timestamp with time zone not null default now(),
  closed_at timestamp with time zone,
  erased_at timestamp with time zone,
  constraint accounts_check CHECK (((status = 'closed'::text) = (closed_at IS NOT NULL))),
  constraint accounts_check4 CHECK (((status = 'pending'::text) OR (sign_up_name IS NULL))),
  constraint accounts_erased_keep_nothing CHECK (((erased_at IS NULL) OR ((status = 'closed'::text) AND (email IS NULL) AND (password_hash IS NULL) AND (password_scheme IS NULL)))),
  constraint accounts_open_can_sign_in CHECK (((status = 'closed'::text) OR ((email IS NOT NULL) AND (password_hash IS NOT NULL) AND (password_scheme IS NOT NULL)))),
  constraint accounts_role_check CHECK ((role = ANY (ARRAY['user'::text, 'editor'::text, 'moderator'::text, 'admin'::text]))),
  constraint accounts_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'active'::text, 'closed'::text]))),
  constraint accounts_pkey PRIMARY KEY (user_id)
);

create table revocations (
  id bigint not null generated always as identity,
  kind text not null,
  target text not null,
  not_after timestamp with time zone,
  expires_at timestamp with time zone not null,
  published_at timestamp with time zone,
  constraint revocations_check CHECK (((kind = 'user'::text) = (not_after IS NOT NULL))),
  constraint revocations_kind_check CHECK ((kind = ANY (ARRAY['sid'::text, 'jti'::text, 'user'::text]))),
  constraint revocations_pkey PRIMARY KEY (id)
);

create table sessions (
  id uuid not null,
  user_id uuid not null,
  refresh_nonce bytea not null,
  user_agent text not null,
  address text not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  expires_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  end_reason text,
  constraint sessions_check CHECK (((ended_at IS NULL) = (end_reason IS NULL))),
  constraint sessions_end_reason_check CHECK ((end_reason = ANY (ARRAY['logout'::text, 'ended'::text, 'reuse'::text, 'closed'::text]))),
  constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES accounts(user_id),
  constraint sessions_pkey PRIMARY KEY (id)
);

create table signing_keys (
  kid text not null,
  public_key text not null,
  private_key bytea not null,
  activates_at timestamp with time zone not null,
  constraint signing_keys_pkey PRIMARY KEY (kid)
);

CREATE UNIQUE INDEX account_change_cursor_is_one_row ON auth.account_change_cursor USING btree ((true));

CREATE UNIQUE INDEX accounts_email ON auth.accounts USING btree (email) WHERE (status <> 'closed'::text);

CREATE INDEX accounts_pending ON auth.accounts USING btree (created_at) WHERE (status = 'pending'::text);

CREATE INDEX revocations_expiry ON auth.revocations USING btree (expires_at);

CREATE INDEX revocations_unpublished ON auth.revocations USING btree (id) WHERE (published_at IS NULL);

CREATE INDEX sessions_expiry ON auth.sessions USING btree (expires_at);

CREATE INDEX sessions_of_user ON auth.sessions USING btree (user_id, created_at DESC) WHERE (ended_at IS NULL);
