import type { DocumentServiceServer } from '#proto/docs/v1/docs.ts'
import { type Handlers, userOf } from '#runtime/grpc/call.ts'
import { type PageTokens, servePage } from '../paging/page-token.ts'
import { createUserLoader, type UserRepository } from '../users/user-repository.ts'
import { callerOf } from './access-rules.ts'
import type { CommentHandlers } from './comment-handlers.ts'
import { distinct, toDocumentChanges, toVisibility } from './document-changes.ts'
import type { DocumentListRepository, DocumentSort } from './document-list-repository.ts'
import { toDocument, toDocumentSummary, versionsOf } from './document-message.ts'
import type { Documents } from './documents.ts'
import type { GrantHandlers } from './grant-handlers.ts'

export interface DocumentHandlersDependencies {
  documents: Pick<Documents, 'create' | 'find' | 'update' | 'delete'>
  lists: DocumentListRepository
  users: Pick<UserRepository, 'findAll'>
  pageTokens: PageTokens
  comments: CommentHandlers
  grants: GrantHandlers
}

const DEFAULT_PAGE_SIZE = 50

/** `docs.v1.DocumentService`. */
export function createDocumentHandlers(dependencies: DocumentHandlersDependencies): Handlers<DocumentServiceServer> {
  const { documents, lists, users, pageTokens, comments, grants } = dependencies

  return {
    async createDocument({ title, body, tags, visibility, department }, call) {
      const document = { title, body, tags: distinct(tags), visibility: toVisibility(visibility), department }
      return toDocument(await documents.create(document, userOf(call)))
    },
    async getDocument({ id }, call) {
      return toDocument(await documents.find(id, callerOf(call)))
    },
    async listDocuments({ owner, tag, updatedSince, sort, pageSize, pageToken }, call) {
      const caller = callerOf(call)
      const filter = { owner, tag, updatedSince }
      const order = (sort || '-updatedAt') as DocumentSort
      // The caller is part of the name, because the readable documents depend on it.
      const list = JSON.stringify(['documents', filter, order, caller?.userId, caller?.role])
      const { rows, nextPageToken } = await servePage(pageTokens, list, pageToken, after =>
        lists.page(filter, order, caller, pageSize || DEFAULT_PAGE_SIZE, after),
      )
      const owners = createUserLoader(users)
      return {
        documents: await Promise.all(
          rows.map(async row => toDocumentSummary(row, (await owners.load(row.owner_id))?.name ?? '')),
        ),
        nextPageToken,
      }
    },
    async updateDocument({ id, document, updateMask, ifMatch }, call) {
      // Request validation rejects a request without a document.
      const changes = toDocumentChanges(document as NonNullable<typeof document>, updateMask)
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
