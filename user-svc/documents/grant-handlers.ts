import type { DocumentServiceServer } from '#proto/docs/v1/docs.ts'
import { type Handlers, userOf } from '#runtime/grpc/call.ts'
import { invalidArgument, type StatusError } from '#runtime/status.ts'
import { concurrentChange, grantNotFound, userNotFound } from '../errors.ts'
import { type PageTokens, servePage } from '../paging/page-token.ts'
import type { UserRepository } from '../users/user-repository.ts'
import type { Caller } from './access-rules.ts'
import { toGrant } from './document-message.ts'
import type { Documents } from './documents.ts'
import type { GrantRepository, GrantRow } from './grant-repository.ts'

export type GrantHandlers = Pick<Handlers<DocumentServiceServer>, 'putGrant' | 'deleteGrant' | 'listGrants'>

export interface GrantHandlersDependencies {
  grants: GrantRepository
  documents: Pick<Documents, 'assertAllowed' | 'find'>
  users: Pick<UserRepository, 'find'>
  pageTokens: PageTokens
}

const DEFAULT_PAGE_SIZE = 50

/** The grant methods of `docs.v1.DocumentService`. */
export function createGrantHandlers(dependencies: GrantHandlersDependencies): GrantHandlers {
  const { grants, documents, users, pageTokens } = dependencies

  async function errorFor(documentId: string, userId: string, caller: Caller): Promise<StatusError> {
    await documents.assertAllowed('share', documentId, caller)
    const { owner_id: owner } = await documents.find(documentId, caller)
    if (owner === userId.toLowerCase())
      return invalidArgument([{ field: 'userId', description: 'must not be the owner of the document' }])
    return (await users.find(userId)) === undefined ? userNotFound() : concurrentChange()
  }

  return {
    async putGrant({ documentId, userId, access }, call) {
      const caller = userOf(call)
      // Request validation admits no other value.
      const grant = await grants.put(documentId, userId, access as GrantRow['access'], caller)
      if (grant === undefined) throw await errorFor(documentId, userId, caller)
      return toGrant(grant)
    },
    async deleteGrant({ documentId, userId }, call) {
      const caller = userOf(call)
      if (await grants.delete(documentId, userId, caller)) return {}
      // A user may delete their own grant without the right to share.
      await documents.assertAllowed(userId.toLowerCase() === caller.userId ? 'read' : 'share', documentId, caller)
      throw grantNotFound()
    },
    async listGrants({ documentId, pageSize, pageToken }, call) {
      await documents.assertAllowed('share', documentId, userOf(call))
      const list = `grants/${documentId.toLowerCase()}`
      const { rows, nextPageToken } = await servePage(pageTokens, list, pageToken, after =>
        grants.page(documentId, pageSize || DEFAULT_PAGE_SIZE, after),
      )
      return { grants: rows.map(toGrant), nextPageToken }
    },
  }
}
