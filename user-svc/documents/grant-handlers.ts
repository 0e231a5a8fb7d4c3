import type { DocumentServiceServer } from '#proto/docs/v1/docs.ts'
import { type Handlers, userOf } from '#runtime/grpc/call.ts'
import { invalidArgument, type StatusError } from '#runtime/status.ts'
import { changedMeanwhile, grantNotFound, userNotFound } from '../errors.ts'
import { type PageTokens, servePage } from '../paging/page-token.ts'
import type { Caller } from '../users/caller.ts'
import type { UserRepository } from '../users/user-repository.ts'
import { toGrant } from './document-message.ts'
import type { Documents } from './documents.ts'
import type { GrantRepository, GrantRow } from './grant-repository.ts'

export type GrantHandlers = Pick<Handlers<DocumentServiceServer>, 'putGrant' | 'deleteGrant' | 'listGrants'>

export interface GrantHandlersDependencies {
  grants: GrantRepository
  documents: Documents
  users: Pick<UserRepository, 'find'>
  pageTokens: PageTokens
}

const DEFAULT_PAGE_SIZE = 50

export function createGrantHandlers(dependencies: GrantHandlersDependencies): GrantHandlers {
  const { grants, documents, users, pageTokens } = dependencies

  async function refusal(documentId: string, userId: string, caller: Caller): Promise<StatusError> {
    await documents.assertMay('share', documentId, caller)
    const { owner_id: owner } = await documents.find(documentId, caller)
    if (owner === userId.toLowerCase())
      return invalidArgument([{ field: 'userId', description: 'owns the document, and needs no grant' }])
    return (await users.find(userId)) === undefined ? userNotFound() : changedMeanwhile()
  }

  return {
    async putGrant({ documentId, userId, access }, call) {
      const caller = userOf(call)
      // The contract's rules have let no other string through.
      const grant = await grants.put(documentId, userId, access as GrantRow['access'], caller)
      if (grant === undefined) throw await refusal(documentId, userId, caller)
      return toGrant(grant)
    },
    async deleteGrant({ documentId, userId }, call) {
      const caller = userOf(call)
      if (await grants.delete(documentId, userId, caller)) return {}
      await documents.assertMay(userId.toLowerCase() === caller.userId ? 'read' : 'share', documentId, caller)
      throw grantNotFound()
    },
    async listGrants({ documentId, pageSize, pageToken }, call) {
      await documents.assertMay('share', documentId, userOf(call))
      const list = `grants/${documentId.toLowerCase()}`
      const { rows, nextPageToken } = await servePage(pageTokens, list, pageToken, after =>
        grants.page(documentId, pageSize || DEFAULT_PAGE_SIZE, after),
      )
      return { grants: rows.map(toGrant), nextPageToken }
    },
  }
}
