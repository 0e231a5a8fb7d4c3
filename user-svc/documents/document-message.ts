import type { Comment, Document, DocumentSummary, Grant } from '#proto/docs/v1/docs.ts'
import type { CommentRow } from './comment-repository.ts'
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

/** A document without its body, with the name of its owner (empty if the owner is not active). */
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

/** A comment with the name of its author (empty if the author is not active). */
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

const VERSION = /^[1-9][0-9]{0,8}$/

/**
 * The version, which each change increments. Opaque to clients, which return it in If-Match (RFC 9110, section 13.1.1).
 */
function etagOf({ version }: { version: number }): string {
  return String(version)
}

/** @returns the accepted versions; undefined if every one is: no tag is given, or one of them is `*`. */
export function versionsOf(ifMatch: readonly string[]): number[] | undefined {
  if (ifMatch.length === 0 || ifMatch.includes('*')) return undefined
  // 0, which is no version, for a tag that `etagOf` did not produce: SQL does not accept an empty list.
  return ifMatch.map(tag => (VERSION.test(tag) ? Number(tag) : 0))
}
