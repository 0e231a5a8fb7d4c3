/** A fake auth-svc: SessionService over gRPC, with sessions in memory. */
import { pino } from 'pino'
import { type SessionServiceServer, SessionServiceService } from '#proto/auth/v1/sessions.ts'
import type { SessionRecord } from '#proto/user/v1/session_record.ts'
import type { TokenVerifier } from '#runtime/auth/token-verifier.ts'
import { type Call, userOf } from '#runtime/grpc/call.ts'
import { readContract } from '#runtime/grpc/contract.ts'
import { createGrpcServer } from '#runtime/grpc/server.ts'
import { registerServerMetrics } from '#runtime/grpc/server-metrics.ts'
import { createMetrics } from '#runtime/observability/metrics.ts'

/** A running fake auth-svc. */
export interface AuthSvcPeer {
  /** Address (host:port) of the service. */
  readonly address: string
  /** Sessions by user id. Returned two per page. */
  readonly sessions: Map<string, SessionRecord[]>
  /** Callers of each page, in order. */
  readonly callers: string[]
  /** Runs before each page, for example to fail. */
  beforePage: () => void
  stop(): Promise<void>
}

const PAGE_SIZE = 2

export async function startAuthSvcPeer(verifier: TokenVerifier): Promise<AuthSvcPeer> {
  const server = createGrpcServer({
    contract: readContract(new URL('../../proto/gen/contract.binpb', import.meta.url)),
    logger: pino({ level: 'silent' }),
    verifier,
    calls: registerServerMetrics(createMetrics()),
    dependencies: {},
  })
  const peer: AuthSvcPeer = {
    address: '',
    sessions: new Map(),
    callers: [],
    beforePage: () => {},
    stop: () => server.stop(),
  }
  server.add<SessionServiceServer>('auth.v1.SessionService', SessionServiceService, {
    async listUserSessions({ userId, pageToken }, call: Call) {
      peer.beforePage()
      peer.callers.push(userOf(call).userId)
      const all = peer.sessions.get(userId) ?? []
      const start = all.findIndex(({ id }) => id === pageToken) + 1
      const sessions = all.slice(start, start + PAGE_SIZE)
      const hasMore = start + PAGE_SIZE < all.length
      return { sessions, nextPageToken: hasMore ? (sessions.at(-1)?.id ?? '') : '' }
    },
  })
  const port = await server.listen('127.0.0.1:0')
  return Object.assign(peer, { address: `127.0.0.1:${port}` })
}
