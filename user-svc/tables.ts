import type { Generated, GeneratedAlways } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'

/** The schema that user-svc owns, in PostgreSQL. */
export const SCHEMA = 'users'

/** The schema that its job queue (graphile-worker) makes and keeps. */
export const JOBS_SCHEMA = 'user_jobs'

export interface Tables {
  /** View of the living: what is deleted from it stays in `users_all`. */
  users: UsersView
  users_all: UsersTable
  account_changes: AccountChangesTable
  erasures: ErasuresTable
  /** View of what is not deleted and whose owner is not closed. */
  documents: DocumentsView
  documents_all: DocumentsTable
  /** View of what is not deleted, on documents that are there, by authors who are not closed. */
  comments: CommentsView
  comments_all: CommentsTable
  document_grants: DocumentGrantsTable
}

export type Visibility = 'private' | 'department' | 'public'

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
  /** Documents that are not deleted. Kept by triggers. */
  doc_count: GeneratedAlways<number>
}

export interface UsersTable extends UsersView {
  deleted_at: Date | null
  deleted_by: string | null
  /** Since when nothing is left but the id. Never without `deleted_at`. */
  erased_at: Date | null
}

export interface AccountChangesTable {
  sequence: GeneratedAlways<bigint>
  user_id: string
  role: Role
  closed: boolean
  erased: Generated<boolean>
  changed_at: GeneratedAlways<Date>
}

/** Receipts: they outlive what they are about, and hold nothing personal. */
export interface ErasuresTable {
  user_id: string
  /** Null: the retention was over. */
  requested_by: string | null
  requested_at: GeneratedAlways<Date>
  documents: Generated<number>
  comments: Generated<number>
  grants: Generated<number>
  /** When auth-svc had erased what it held. */
  identity_erased_at: Date | null
  /** When the emptied rows were gone, too. */
  purged_at: Date | null
}

export interface DocumentsView {
  id: Generated<string>
  owner_id: string
  title: string
  body: Generated<string>
  tags: Generated<string[]>
  visibility: Generated<Visibility>
  department: Generated<string>
  /** One more with each change. Kept by a trigger, as is `updated_at`. */
  version: GeneratedAlways<number>
  created_at: GeneratedAlways<Date>
  updated_at: GeneratedAlways<Date>
  /** tsvector of title (weight A) and body (B). */
  search: GeneratedAlways<string>
}

export interface DocumentsTable extends DocumentsView {
  deleted_at: Date | null
  deleted_by: string | null
}

export interface CommentsView {
  id: Generated<string>
  document_id: string
  author_id: string
  body: string
  /** From -1 to 1. */
  sentiment: number | null
  created_at: GeneratedAlways<Date>
}

export interface CommentsTable extends CommentsView {
  deleted_at: Date | null
  deleted_by: string | null
}

export interface DocumentGrantsTable {
  document_id: string
  user_id: string
  access: 'read' | 'write'
  granted_by: string
  created_at: GeneratedAlways<Date>
}
