import type { DocumentServiceServer } from '#proto/docs/v1/docs.ts'
import { type Handlers, userOf } from '#runtime/grpc/call.ts'
import { type PageTokens, servePage } from '../paging/page-token.ts'
import { callerOf } from '../users/caller.ts'
import { createUserLoader } from '../users/user-loader.ts'
import type { UserRepository } from '../users/user-repository.ts'
import type { CommentHandlers } from './comment-handlers.ts'
import { changesOf, distinct, visibilityOf } from './document-changes.ts'
import { versionsOf } from './document-etag.ts'
import type { DocumentListRepository, DocumentSort } from './document-list-repository.ts'
import { toDocument, toDocumentSummary } from './document-message.ts'
import type { Documents } from './documents.ts'
import type { GrantHandlers } from './grant-handlers.ts'

export interface DocumentHandlersDependencies {
  documents: Documents
  lists: DocumentListRepository
  users: Pick<UserRepository, 'findAll'>
  pageTokens: PageTokens
  comments: CommentHandlers
  grants: GrantHandlers
}

const DEFAULT_PAGE_SIZE = 50

export function createDocumentHandlers(dependencies: DocumentHandlersDependencies): Handlers<DocumentServiceServer> {
  const { documents, lists, users, pageTokens, comments, grants } = dependencies

  return {
    async createDocument({ title, body, tags, visibility, department }, call) {
      const document = { title, body, tags: distinct(tags), visibility: visibilityOf(visibility), department }
      return toDocument(await documents.create(document, userOf(call)))
    },
    async getDocument({ id }, call) {
      return toDocument(await documents.find(id, callerOf(call)))
    },
    async listDocuments({ owner, tag, updatedSince, sort, pageSize, pageToken }, call) {
      const caller = callerOf(call)
      const filter = { owner: owner || undefined, tag: tag || undefined, updatedSince }
      const order = (sort || '-updatedAt') as DocumentSort
      // Of this list only: a position says nothing in another order, and another caller has other ways.
      const list = JSON.stringify(['documents', filter, order, caller?.userId, caller?.role])
      const { rows, nextPageToken } = await servePage(pageTokens, list, pageToken, after =>
        lists.page(filter, order, caller, pageSize || DEFAULT_PAGE_SIZE, after),
      )
      const loader = createUserLoader(users)
      return {
        documents: await Promise.all(
          rows.map(async row => toDocumentSummary(row, (await loader.load(row.owner_id))?.name ?? '')),
        ),
        nextPageToken,
      }
    },
    async updateDocument({ id, document, updateMask, ifMatch }, call) {
      // The contract's rules have let no request without a document through.
      const changes = changesOf(document as NonNullable<typeof document>, updateMask)
      return toDocument(await documents.update(id, changes, userOf(call), versionsOf(ifMatch)))
    },
    async deleteDocument({ id, ifMatch }, call) {
      await documents.delete(id, userOf(call), versionsOf(ifMatch))
      return {}
    },
    ...comments,
    ...grants,
  }
}
