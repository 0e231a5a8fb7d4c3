import type { RevocationServiceServer } from '#proto/auth/v1/revocations.ts'
import type { Handlers } from '#runtime/grpc/call.ts'
import { toRevocationMessage } from './revocation-repository.ts'
import type { Revocations } from './revocations.ts'

/** Implements `auth.v1.RevocationService`. A page token is the id of the last revocation of the previous page. */
export function createRevocationHandlers(revocations: Pick<Revocations, 'list'>): Handlers<RevocationServiceServer> {
  return {
    async listRevocations({ pageSize, pageToken }) {
      const { revocations: page, next } = await revocations.list(BigInt(pageToken), pageSize || undefined)
      return { revocations: page.map(toRevocationMessage), nextPageToken: next === undefined ? '' : String(next) }
    },
  }
}
