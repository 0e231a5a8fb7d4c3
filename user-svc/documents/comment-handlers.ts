import type { Kysely } from 'kysely'
import type { DocumentServiceServer } from '#proto/docs/v1/docs.ts'
import { type Handlers, userOf } from '#runtime/grpc/call.ts'
import { commentForbidden, commentNotFound, concurrentChange } from '../errors.ts'
import { type PageTokens, servePage } from '../paging/page-token.ts'
import type { Tables } from '../tables.ts'
import { createUserLoader, type UserRepository } from '../users/user-repository.ts'
import { type Caller, callerOf } from './access-rules.ts'
import { type CommentRepository, createCommentRepository } from './comment-repository.ts'
import { toComment } from './document-message.ts'
import type { Documents } from './documents.ts'

export type CommentHandlers = Pick<Handlers<DocumentServiceServer>, 'createComment' | 'listComments' | 'deleteComment'>

export interface CommentHandlersDependencies {
  db: Kysely<Tables>
  comments: Pick<CommentRepository, 'insert' | 'page' | 'exists'>
  documents: Pick<Documents, 'assertAllowed'>
  users: Pick<UserRepository, 'findAll'>
  pageTokens: PageTokens
}

const DEFAULT_PAGE_SIZE = 50

/** The comment methods of `docs.v1.DocumentService`. */
export function createCommentHandlers(dependencies: CommentHandlersDependencies): CommentHandlers {
  const { db, comments, documents, users, pageTokens } = dependencies

  async function deleteComment(documentId: string, id: string, caller: Caller): Promise<void> {
    const isDeleted = await db
      .transaction()
      .execute(transaction => createCommentRepository(transaction).delete(documentId, id, caller))
    if (isDeleted) return
    await documents.assertAllowed('read', documentId, caller)
    throw (await comments.exists(documentId, id)) ? commentForbidden() : commentNotFound()
  }

  return {
    async createComment(comment, call) {
      const caller = userOf(call)
      const row = await comments.insert(comment, caller)
      if (row === undefined) {
        await documents.assertAllowed('comment', comment.documentId, caller)
        throw concurrentChange()
      }
      const author = await createUserLoader(users).load(row.author_id)
      return toComment(row, author?.name ?? '')
    },
    async listComments({ documentId, pageSize, pageToken }, call) {
      await documents.assertAllowed('read', documentId, callerOf(call))
      const list = `comments/${documentId.toLowerCase()}`
      const { rows, nextPageToken } = await servePage(pageTokens, list, pageToken, after =>
        comments.page(documentId, pageSize || DEFAULT_PAGE_SIZE, after),
      )
      const authors = createUserLoader(users)
      return {
        comments: await Promise.all(
          rows.map(async row => toComment(row, (await authors.load(row.author_id))?.name ?? '')),
        ),
        nextPageToken,
      }
    },
    async deleteComment({ documentId, id }, call) {
      await deleteComment(documentId, id, userOf(call))
      return {}
    },
  }
}
