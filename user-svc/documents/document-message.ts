import type { Comment, Document, DocumentSummary, Grant } from '#proto/docs/v1/docs.ts'
import type { CommentRow } from './comment-repository.ts'
import { etagOf } from './document-etag.ts'
import type { DocumentSummaryRow } from './document-list-repository.ts'
import type { DocumentRow } from './document-repository.ts'
import type { GrantRow } from './grant-repository.ts'

export function toDocument(row: DocumentRow): Document {
  const { id, title, body, tags, visibility, department } = row
  return {
    id,
    ownerId: row.owner_id,
    title,
    body,
    tags,
    visibility,
    department,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    etag: etagOf(row),
  }
}

export function toDocumentSummary(row: DocumentSummaryRow, ownerName: string): DocumentSummary {
  const { id, title, tags, visibility, department } = row
  return {
    id,
    ownerId: row.owner_id,
    title,
    tags,
    visibility,
    department,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    etag: etagOf(row),
    ownerName,
  }
}

export function toComment(row: CommentRow, authorName: string): Comment {
  const { id, body, sentiment } = row
  return {
    id,
    documentId: row.document_id,
    authorId: row.author_id,
    body,
    sentiment: sentiment ?? undefined,
    createdAt: row.created_at,
    authorName,
  }
}

export function toGrant(row: GrantRow): Grant {
  const { access } = row
  return {
    documentId: row.document_id,
    userId: row.user_id,
    access,
    grantedBy: row.granted_by,
    createdAt: row.created_at,
  }
}
