import type { Generated, GeneratedAlways } from 'kysely'
import type { Role } from '#runtime/principal.ts'

/** The schema that user-svc owns, in PostgreSQL. */
export const SCHEMA = 'users'

export interface Tables {
  /** View of the living: what is deleted from it stays in `users_all`. */
  users: UsersView
  users_all: UsersTable
  account_changes: AccountChangesTable
}

export interface UsersView {
  id: string
  /** Normalised by auth-svc; unique among the living. */
  email: string
  name: Generated<string>
  role: Generated<Role>
  department: Generated<string>
  created_at: GeneratedAlways<Date>
  /** Kept by a trigger. */
  updated_at: GeneratedAlways<Date>
}

export interface UsersTable extends UsersView {
  deleted_at: Date | null
  deleted_by: string | null
}

export interface AccountChangesTable {
  sequence: GeneratedAlways<bigint>
  user_id: string
  role: Role
  closed: boolean
  changed_at: GeneratedAlways<Date>
}
