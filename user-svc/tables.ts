/** The tables and views of user-svc. A test compares them with the migrated schema (schema.ts). */
import type { Generated, GeneratedAlways } from 'kysely'
import type { Role } from '#runtime/auth/principal.ts'

export const SCHEMA = 'users'

/** Created and migrated by graphile-worker. */
export const JOBS_SCHEMA = 'user_jobs'

/** A `delete` from a view marks the row as deleted in its base table (`…_all`). */
export interface Tables {
  users: UsersView
  users_all: UsersTable
  account_changes: AccountChangesTable
  erasures: ErasuresTable
  /** Not deleted, and owned by an active user. */
  documents: DocumentsView
  documents_all: DocumentsTable
  /** Not deleted, on visible documents, by active authors. */
  comments: CommentsView
  comments_all: CommentsTable
  document_grants: DocumentGrantsTable
  retention_failures: RetentionFailuresTable
}

/** The group that may read a document: owner and grants only, the department, or everyone. */
export type Visibility = 'private' | 'department' | 'public'

export interface UsersView {
  id: string
  /** Normalized by auth-svc; unique among active users. */
  email: string
  name: Generated<string>
  role: Generated<Role>
  department: Generated<string>
  created_at: GeneratedAlways<Date>
  /** Set by a trigger. */
  updated_at: GeneratedAlways<Date>
  /** Number of documents that are not deleted. Maintained by triggers. */
  doc_count: GeneratedAlways<number>
}

/** Users in any state. */
export interface UsersTable extends UsersView {
  deleted_at: Date | null
  deleted_by: string | null
  /** Time of erasure: only the id remains. Implies `deleted_at`. */
  erased_at: Date | null
}

/** The outbox: the state of an account after a change of its role, or its deactivation, restoration or erasure. */
export interface AccountChangesTable {
  /** Increases in commit order. */
  sequence: GeneratedAlways<bigint>
  user_id: string
  role: Role
  closed: boolean
  erased: Generated<boolean>
  changed_at: GeneratedAlways<Date>
}

/** Receipts remain after the user is purged and contain no personal data. */
export interface ErasuresTable {
  user_id: string
  /** Id of the administrator; null if the retention job erased the user. */
  requested_by: string | null
  requested_at: GeneratedAlways<Date>
  documents: Generated<number>
  comments: Generated<number>
  grants: Generated<number>
  /** Set when auth-svc has confirmed its erasure. */
  identity_erased_at: Date | null
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
  /** Incremented with each change. Set by a trigger, as is `updated_at`. */
  version: GeneratedAlways<number>
  created_at: GeneratedAlways<Date>
  updated_at: GeneratedAlways<Date>
  /** Read by the previous release only; `words` replaces it. */
  search: GeneratedAlways<string>
  /** tsvector of title (weight A) and body (B). Set by a trigger. */
  words: GeneratedAlways<string>
}

/** Documents, including deleted ones. */
export interface DocumentsTable extends DocumentsView {
  deleted_at: Date | null
  deleted_by: string | null
}

export interface CommentsView {
  id: Generated<string>
  document_id: string
  author_id: string
  body: string
  /** From -1 (negative) to 1 (positive). */
  sentiment: number | null
  created_at: GeneratedAlways<Date>
}

/** Comments, including deleted ones. */
export interface CommentsTable extends CommentsView {
  deleted_at: Date | null
  deleted_by: string | null
}

/** At most one grant per document and user. */
export interface DocumentGrantsTable {
  document_id: string
  user_id: string
  access: 'read' | 'write'
  granted_by: string
  created_at: GeneratedAlways<Date>
}

export type RetentionKind = 'comment' | 'document' | 'user'

/** Rows past retention that could not be deleted, erased or purged. */
export interface RetentionFailuresTable {
  kind: RetentionKind
  id: string
  /** Of the last attempt, at most 500 characters. */
  error: string
  attempts: number
  failed_at: Generated<Date>
}
