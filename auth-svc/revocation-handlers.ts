import type { RevocationServiceServer } from '#proto/auth/v1/revocations.ts'
import type { Handlers } from '#runtime/grpc-server.ts'
import { toRevocationMessage } from './revocation-repository.ts'
import type { Revocations } from './revocations.ts'

export function createRevocationHandlers(revocations: Pick<Revocations, 'list'>): Handlers<RevocationServiceServer> {
  return {
    async listRevocations() {
      return { revocations: (await revocations.list()).map(toRevocationMessage) }
    },
  }
}
