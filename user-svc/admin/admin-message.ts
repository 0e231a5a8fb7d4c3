import type { AdminUser, Erasure, UserFilter as FilterMessage, UserFigures, UserNode } from '#proto/admin/v1/admin.ts'
import type { Role } from '#runtime/auth/principal.ts'
import type { ErasureRow } from '../privacy/erasure-repository.ts'
import type { StoredUserRow } from '../users/user-repository.ts'
import type { UserFiguresRow } from './report-repository.ts'
import type { UserFilter } from './user-filter.ts'
import type { TreeUser } from './user-tree-repository.ts'

/** All fields of a user in any state. */
export function toAdminUser(row: StoredUserRow): AdminUser {
  const { id, email, name, role, department } = row
  return {
    id,
    email,
    name,
    role,
    department,
    docCount: row.doc_count,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    deletedAt: row.deleted_at ?? undefined,
    deletedBy: row.deleted_by ?? '',
  }
}

export function toErasure(row: ErasureRow): Erasure {
  const { documents, comments, grants } = row
  return {
    userId: row.user_id,
    requestedBy: row.requested_by ?? '',
    erasedAt: row.requested_at,
    documents,
    comments,
    grants,
    identityErasedAt: row.identity_erased_at ?? undefined,
    purgedAt: row.purged_at ?? undefined,
  }
}

export function toUserNode(root: TreeUser): UserNode {
  return {
    user: toAdminUser(root),
    documents: root.documents.map(({ id, title, tags, visibility, comments, ...document }) => ({
      id,
      title,
      tags,
      visibility,
      updatedAt: new Date(document.updated_at),
      comments: comments.map(({ excerpt, sentiment, ...comment }) => ({
        id: comment.id,
        authorId: comment.author_id,
        excerpt,
        sentiment: sentiment ?? undefined,
        createdAt: new Date(comment.created_at),
      })),
    })),
  }
}

export function toUserFigures(row: UserFiguresRow): UserFigures {
  const { id, email, name, tags } = row
  return {
    userId: id,
    email,
    name,
    docCount: row.doc_count,
    averageSentiment: row.average_sentiment ?? undefined,
    tags,
  }
}

/** Request validation rejects empty texts, and the gateway an empty list, which cannot be told from an unset one here. */
export function toUserFilter(message: FilterMessage | undefined): UserFilter {
  if (message === undefined) return {}
  const { role, department, emailSuffix, createdSince, createdBefore, ids } = message
  return {
    role: toRole(role),
    department,
    emailSuffix,
    createdSince,
    createdBefore,
    ids: ids.length === 0 ? undefined : ids,
  }
}

/** Request validation admits no other value. */
export function toRole(text: string | undefined): Role | undefined {
  return text as Role | undefined
}
