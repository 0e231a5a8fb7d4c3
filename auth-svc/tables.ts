import type { Generated, GeneratedAlways } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'

/** The PostgreSQL schema of auth-svc. */
export const SCHEMA = 'auth'

/** The PostgreSQL schema of its job queue, created and migrated by graphile-worker. */
export const JOBS_SCHEMA = 'auth_jobs'

/** The tables of `SCHEMA`, for Kysely. `make check` compares them with schema.ts. */
export interface Tables {
  accounts: AccountsTable
  sessions: SessionsTable
  revocations: RevocationsTable
  signing_keys: SigningKeysTable
  account_change_cursor: AccountChangeCursorTable
}

/**
 * - `pending`: user-svc does not have the user yet.
 * - `active`: the user can sign in.
 * - `closed`: deactivated; the user cannot sign in until user-svc restores it.
 */
export type AccountStatus = 'pending' | 'active' | 'closed'

/** Credentials and role of a user. */
export interface AccountsTable {
  user_id: string
  /** Normalized; unique among pending and active accounts. */
  email: string | null
  password_hash: string | null
  password_scheme: string | null
  /** Copied from user-svc, which is authoritative. */
  role: Role
  status: AccountStatus
  /** Name given at sign-up; null unless pending. */
  sign_up_name: string | null
  created_at: Generated<Date>
  /** Time of the deactivation. */
  closed_at: Date | null
  /** Time of the erasure: all personal data is removed. */
  erased_at: Date | null
}

/** Why a session ended: `ended` by the user, `reuse` of a refresh token, `closed` when the account was deactivated. */
export type EndReason = 'logout' | 'ended' | 'reuse' | 'closed'

/** Sessions, kept until a day after they expire. */
export interface SessionsTable {
  id: string
  user_id: string
  /** 16 random bytes; input of the MAC of the session's refresh tokens. */
  refresh_nonce: Buffer
  user_agent: string
  address: string
  created_at: Generated<Date>
  /** Maximum end of the session, however often it is refreshed. */
  expires_at: Date
  ended_at: Date | null
  end_reason: EndReason | null
}

/**
 * The target of a revocation: a session (`sid`), one access token (`jti`) or a user. No code inserts `jti`. An operator
 * can insert one by SQL to revoke a single token; auth-svc publishes it.
 */
export type RevocationKind = 'sid' | 'jti' | 'user'

/** Revocations of access tokens, kept until they expire. */
export interface RevocationsTable {
  id: GeneratedAlways<bigint>
  kind: RevocationKind
  target: string
  /** Kind `user` only: tokens issued at or before this time are revoked. In whole milliseconds. */
  not_after: Date | null
  expires_at: Date
  /** Null until the Redis stream has the revocation. */
  published_at: Date | null
}

/** Keys that sign tokens. */
export interface SigningKeysTable {
  kid: string
  /** Parameter `x` of the JWK, base64url. */
  public_key: string
  /** Encrypted; see tokens/signing-key-seal.ts. */
  private_key: Buffer
  /** Start of signing. The key signs until its successor is active. */
  activates_at: Date
}

/** One row: the position in the account changes of user-svc. */
export interface AccountChangeCursorTable {
  sequence: bigint
}
