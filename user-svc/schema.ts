// Made by `make schema` from the migrations, to be compared with tables.ts; do not edit.
import type { Generated, GeneratedAlways } from 'kysely'

export interface Schema {
  account_changes: {
    sequence: GeneratedAlways<bigint>
    user_id: string
    role: string
    closed: boolean
    changed_at: Generated<Date>
    erased: Generated<boolean>
  }
  comments: {
    id: Generated<string>
    document_id: string
    author_id: string
    body: string
    sentiment: number | null
    created_at: Generated<Date>
  }
  comments_all: {
    id: Generated<string>
    document_id: string
    author_id: string
    body: string
    sentiment: number | null
    created_at: Generated<Date>
    deleted_at: Date | null
    deleted_by: string | null
  }
  document_grants: {
    document_id: string
    user_id: string
    access: 'read' | 'write'
    granted_by: string
    created_at: Generated<Date>
  }
  documents: {
    id: Generated<string>
    owner_id: string
    title: string
    body: Generated<string>
    tags: Generated<string[]>
    visibility: Generated<'private' | 'department' | 'public'>
    department: Generated<string>
    version: Generated<number>
    created_at: Generated<Date>
    updated_at: Generated<Date>
    search: GeneratedAlways<string>
  }
  documents_all: {
    id: Generated<string>
    owner_id: string
    title: string
    body: Generated<string>
    tags: Generated<string[]>
    visibility: Generated<'private' | 'department' | 'public'>
    department: Generated<string>
    version: Generated<number>
    created_at: Generated<Date>
    updated_at: Generated<Date>
    deleted_at: Date | null
    deleted_by: string | null
    search: GeneratedAlways<string>
  }
  erasures: {
    user_id: string
    requested_by: string | null
    requested_at: Generated<Date>
    documents: Generated<number>
    comments: Generated<number>
    grants: Generated<number>
    identity_erased_at: Date | null
    purged_at: Date | null
  }
  users: {
    id: string
    email: string
    name: Generated<string>
    role: Generated<'user' | 'editor' | 'moderator' | 'admin'>
    department: Generated<string>
    created_at: Generated<Date>
    updated_at: Generated<Date>
    doc_count: Generated<number>
  }
  users_all: {
    id: string
    email: string
    name: Generated<string>
    role: Generated<'user' | 'editor' | 'moderator' | 'admin'>
    department: Generated<string>
    created_at: Generated<Date>
    updated_at: Generated<Date>
    deleted_at: Date | null
    deleted_by: string | null
    doc_count: Generated<number>
    erased_at: Date | null
  }
}
