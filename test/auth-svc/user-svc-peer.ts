/** user-svc as auth-svc meets it: AccountService over gRPC, which takes service tokens of auth-svc and nothing else. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { AuthServiceClient } from '#proto/auth/v1/auth.ts'
import { type AccountChange, type AccountServiceServer, AccountServiceService } from '#proto/user/v1/account.ts'
import type { User } from '#proto/user/v1/user.ts'
import { createRemoteKeySet } from '#runtime/auth/key-set.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { callUnary, createClient } from '#runtime/grpc/client.ts'
import { readContract } from '#runtime/grpc/contract.ts'
import { createGrpcServer, type GrpcServer } from '#runtime/grpc/server.ts'
import { registerServerMetrics } from '#runtime/grpc/server-metrics.ts'
import { createMetrics } from '#runtime/observability/metrics.ts'
import { Code, notFound, StatusError } from '#runtime/status.ts'
import { logger } from './silent-logger.ts'

export interface UserSvcPeer {
  readonly address: string
  /** By id. */
  readonly users: Map<string, User>
  /** Ids of closed accounts: each answers as closed until a change opens it again. */
  readonly closed: Set<string>
  /** The keys that it verifies with are asked from there. */
  trust(authAddress: string): void
  /** Tells those who watch. */
  change(change: { userId: string; role?: string; closed?: boolean; erased?: boolean }): AccountChange
  /** Ids of those whose erasure was confirmed, each as often as it was. */
  readonly confirmed: string[]
  /** How many confirmations are yet to fail. */
  readonly failing: { confirmations: number }
  /** The service goes away, and comes back at the same address. */
  stop(): Promise<void>
  restart(): Promise<void>
}

export async function startUserSvcPeer(t: Test, { issuer }: { issuer: string }): Promise<UserSvcPeer> {
  const contract = readContract(new URL('../../proto/gen/contract.binpb', import.meta.url))
  const users = new Map<string, User>()
  const closed = new Set<string>()
  const gone = new Map<string, User>()
  const changes: AccountChange[] = []
  const confirmed: string[] = []
  const failing = { confirmations: 0 }
  let auth: AuthServiceClient | undefined
  const keys = createRemoteKeySet({
    fetch: async () => {
      if (auth === undefined) throw new Error('Trusts nobody yet')
      return (await callUnary(auth, auth.getJwks, {})).keys
    },
    minIntervalMs: 0,
  })

  function serve(): GrpcServer {
    const server = createGrpcServer({
      contract,
      logger,
      verifier: createTokenVerifier({ keys, issuer, audience: 'none', acceptService: true }),
      calls: registerServerMetrics(createMetrics()),
      dependencies: {},
    })
    server.add<AccountServiceServer>('user.v1.AccountService', AccountServiceService, {
      async createAccount({ id, email, name, role }) {
        if (closed.has(id)) throw new StatusError(Code.FAILED_PRECONDITION, 'Closed', { reason: 'account_closed' })
        const known = users.get(id)
        if (known !== undefined) return known
        if ([...users.values()].some(user => user.email === email)) {
          throw new StatusError(Code.ALREADY_EXISTS, 'Taken', { reason: 'email_taken' })
        }
        const now = new Date()
        const user = { id, email, name, role: role || 'user', department: '', createdAt: now, updatedAt: now }
        users.set(id, user)
        return user
      },
      async getAccount({ id }) {
        const user = users.get(id)
        if (user === undefined) throw notFound('user')
        return user
      },
      async confirmErasure({ userId }) {
        if (failing.confirmations > 0) {
          failing.confirmations -= 1
          throw new StatusError(Code.UNAVAILABLE, 'Away', { reason: 'unavailable' })
        }
        confirmed.push(userId)
        return {}
      },
      async *watchAccountChanges({ afterSequence }, { signal }) {
        let next = Number(afterSequence)
        while (!signal.aborted) {
          const change = changes[next]
          if (change === undefined) await delay(5)
          else {
            next += 1
            yield change
          }
        }
      },
    })
    return server
  }

  let server = serve()
  const port = await server.listen('127.0.0.1:0')
  t.teardown(async () => {
    auth?.close()
    await server.stop()
  })
  return {
    address: `127.0.0.1:${port}`,
    users,
    closed,
    confirmed,
    failing,
    trust(authAddress) {
      auth = createClient(AuthServiceClient, authAddress)
    },
    change({ userId, role = 'user', closed: isClosed = false, erased = false }) {
      const user = users.get(userId) ?? gone.get(userId)
      if (user !== undefined) (isClosed ? gone : users).set(userId, { ...user, role })
      if (isClosed) {
        users.delete(userId)
        closed.add(userId)
      } else {
        gone.delete(userId)
        closed.delete(userId)
      }
      const sequence = BigInt(changes.length + 1)
      const change = { sequence, userId, role, closed: isClosed, erased, changedAt: new Date() }
      changes.push(change)
      return change
    },
    stop: () => server.stop(),
    async restart() {
      server = serve()
      await server.listen(`127.0.0.1:${port}`)
    },
  }
}
