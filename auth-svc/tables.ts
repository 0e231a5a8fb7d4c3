import type { Generated, GeneratedAlways } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'

/** The schema that auth-svc owns, in PostgreSQL. */
export const SCHEMA = 'auth'

/** The schema that its job queue (graphile-worker) makes and keeps. */
export const JOBS_SCHEMA = 'auth_jobs'

export interface Tables {
  accounts: AccountsTable
  sessions: SessionsTable
  revocations: RevocationsTable
  signing_keys: SigningKeysTable
  account_change_cursor: AccountChangeCursorTable
}

/** `pending`: user-svc has yet to be told. `closed`: cannot sign in, until user-svc opens it again. */
export type AccountStatus = 'pending' | 'active' | 'closed'

export interface AccountsTable {
  user_id: string
  /** Normalised; unique among accounts that are not closed. */
  email: string | null
  password_hash: string | null
  password_scheme: string | null
  /** Follows user-svc. */
  role: Role
  status: AccountStatus
  /** Kept until user-svc has it. */
  sign_up_name: string | null
  created_at: Generated<Date>
  closed_at: Date | null
  /** Since when nothing is left but the id. */
  erased_at: Date | null
}

export type EndReason = 'logout' | 'ended' | 'reuse' | 'closed'

export interface SessionsTable {
  id: string
  user_id: string
  /** Goes into the MAC of the session's refresh tokens. */
  refresh_nonce: Buffer
  user_agent: string
  address: string
  created_at: Generated<Date>
  /** When the session ends even if it is used. */
  expires_at: Date
  ended_at: Date | null
  end_reason: EndReason | null
}

/** No code of ours writes `jti`: it is for an operator who ends one token by SQL, which the sweep sends like the others. */
export type RevocationKind = 'sid' | 'jti' | 'user'

export interface RevocationsTable {
  id: GeneratedAlways<bigint>
  kind: RevocationKind
  target: string
  /** Of kind `user`: tokens issued up to then, in whole milliseconds. */
  not_after: Date | null
  expires_at: Date
  published_at: Date | null
}

export interface SigningKeysTable {
  kid: string
  public_key: string
  /** Encrypted; see signing-key-seal.ts. */
  private_key: Buffer
  /** From when it signs, until the next one does. */
  activates_at: Date
}

export interface AccountChangeCursorTable {
  sequence: bigint
}
