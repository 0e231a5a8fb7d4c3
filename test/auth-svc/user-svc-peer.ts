/**
 * A fake user-svc: AccountService over gRPC, which accepts only service tokens of auth-svc. Keeps its users in memory.
 */
import { once } from 'node:events'
import { pino } from 'pino'
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

/** A running fake user-svc. */
export interface UserSvcPeer {
  /** Address (host:port) of the service. */
  readonly address: string
  /** Active users by id. */
  readonly users: Map<string, User>
  /** Ids of deactivated users: `CreateAccount` rejects them until a change restores them. */
  readonly deactivated: Set<string>
  /** Sets the auth-svc from which the key set is fetched. Until then every call is rejected. */
  trust(authAddress: string): void
  /** Appends an account change to the stream, and applies it to `users` and `deactivated`. */
  change(change: { userId: string; role?: string; deactivated?: boolean; erased?: boolean }): AccountChange
  /** User ids of `ConfirmErasure` calls, in order. */
  readonly confirmed: string[]
  /** `confirmations`: number of further `ConfirmErasure` calls that fail; `with`: their code, default UNAVAILABLE. */
  readonly failing: { confirmations: number; with: Code }
  /** Stops the service. `restart` starts it again at the same address. */
  stop(): Promise<void>
  restart(): Promise<void>
}

/** Starts the service for this test. @param options.issuer claim `iss` of the accepted tokens. */
export async function startUserSvcPeer(t: Test, { issuer }: { issuer: string }): Promise<UserSvcPeer> {
  const logger = pino({ level: 'silent' })
  const contract = readContract(new URL('../../proto/gen/contract.binpb', import.meta.url))
  const users = new Map<string, User>()
  const deactivated = new Set<string>()
  const deactivatedUsers = new Map<string, User>()
  const changes: AccountChange[] = []
  let appended = Promise.withResolvers<void>()
  const confirmed: string[] = []
  const failing = { confirmations: 0, with: Code.UNAVAILABLE }
  let auth: AuthServiceClient | undefined
  const keys = createRemoteKeySet({
    fetch: async () => {
      if (auth === undefined) throw new Error('trust() was not called')
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
        if (deactivated.has(id))
          throw new StatusError(Code.FAILED_PRECONDITION, 'Deactivated', { reason: 'account_closed' })
        const existing = users.get(id)
        if (existing !== undefined) return existing
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
          throw new StatusError(failing.with, 'Failing', { reason: 'failing' })
        }
        confirmed.push(userId)
        return {}
      },
      async *watchAccountChanges({ afterSequence }, { signal }) {
        const aborted = once(signal, 'abort')
        let next = Number(afterSequence)
        while (!signal.aborted) {
          const change = changes[next]
          if (change === undefined) await Promise.race([appended.promise, aborted])
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
    deactivated,
    confirmed,
    failing,
    trust(authAddress) {
      auth = createClient(AuthServiceClient, authAddress)
    },
    change({ userId, role = 'user', deactivated: closed = false, erased = false }) {
      const user = users.get(userId) ?? deactivatedUsers.get(userId)
      if (user !== undefined) (closed ? deactivatedUsers : users).set(userId, { ...user, role })
      if (closed) {
        users.delete(userId)
        deactivated.add(userId)
      } else {
        deactivatedUsers.delete(userId)
        deactivated.delete(userId)
      }
      const sequence = BigInt(changes.length + 1)
      const change = { sequence, userId, role, closed, erased, changedAt: new Date() }
      changes.push(change)
      appended.resolve()
      appended = Promise.withResolvers()
      return change
    },
    stop: () => server.stop(),
    async restart() {
      server = serve()
      await server.listen(`127.0.0.1:${port}`)
    },
  }
}
