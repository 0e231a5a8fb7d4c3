import type { Generated, GeneratedAlways } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'

/** The PostgreSQL schema of auth-svc. */
export const SCHEMA = 'auth'

/** The PostgreSQL schema of its job queue, created and migrated by graphile-worker. */
export const JOBS_SCHEMA = 'auth_jobs'

/** For Kysely; `make check` compares them with schema.ts. */
export interface Tables {
  accounts: AccountsTable
  sessions: SessionsTable
  revocations: RevocationsTable
  signing_keys: SigningKeysTable
  account_change_cursor: AccountChangeCursorTable
  failed_account_changes: FailedAccountChangesTable
  boot_records: BootRecordsTable
}

/**
 * - `pending`: user-svc does not have the user yet.
 * - `active`: the user can sign in.
 * - `closed`: deactivated; the user cannot sign in until user-svc restores it.
 */
export type AccountStatus = 'pending' | 'active' | 'closed'

/** Credentials are null only in deactivated accounts. */
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
  closed_at: Date | null
  /** All personal data is removed. */
  erased_at: Date | null
}

/** `logout` or `ended` by the user, `reuse` of a refresh token, `closed` when the account was deactivated. */
export type EndReason = 'logout' | 'ended' | 'reuse' | 'closed'

/** Sessions, kept until a day after they expire. */
export interface SessionsTable {
  id: string
  user_id: string
  /** Input of the MAC of the refresh tokens; 16 random bytes. */
  refresh_nonce: Buffer
  user_agent: string
  address: string
  created_at: Generated<Date>
  /** Maximum end of the session, however often it is refreshed. */
  expires_at: Date
  ended_at: Date | null
  end_reason: EndReason | null
}

/** `jti` is for operators: auth-svc publishes a row that they insert by SQL to revoke a single token. */
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

/** Account changes of user-svc that could not be applied and were set aside. */
export interface FailedAccountChangesTable {
  sequence: bigint
  user_id: string
  role: Role
  closed: boolean
  erased: boolean
  /** Of the last attempt, at most 500 characters. */
  error: string
  attempts: number
  failed_at: Generated<Date>
}

/** One row: what auth-svc must know of its former settings. */
export interface BootRecordsTable {
  /** The longest ACCESS_TOKEN_TTL_S of any start. */
  access_token_ttl_s: Generated<number>
  /** Identifies the pepper of the stored passwords in messages. */
  pepper_id: string | null
  /** See passwords/pepper-check.ts. */
  pepper_check: Buffer | null
}
