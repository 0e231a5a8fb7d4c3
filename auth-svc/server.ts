import { availableParallelism } from 'node:os'
import type { FileRegistry } from '@bufbuild/protobuf'
import type { Redis } from 'ioredis'
import { type AuthServiceServer, AuthServiceService } from '#proto/auth/v1/auth.ts'
import { type RevocationServiceServer, RevocationServiceService } from '#proto/auth/v1/revocations.ts'
import type { AccountServiceClient } from '#proto/user/v1/account.ts'
import { createTokenVerifier } from '#runtime/auth/principal.ts'
import { createGrpcServer, type GrpcServer } from '#runtime/grpc/server.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import type { Database } from '#runtime/postgres/database.ts'
import { toStatusError } from '#runtime/postgres/errors.ts'
import { startJobWorker } from '#runtime/postgres/job-worker.ts'
import type { Settings } from '#runtime/process/env.ts'
import { followAccountChanges } from './account-changes.ts'
import { createAccountRepository } from './accounts/account-repository.ts'
import { ensureFirstAdministrator } from './accounts/first-administrator.ts'
import { createSignUp } from './accounts/sign-up.ts'
import { COMPLETE_SIGN_UP, type CompleteSignUp } from './accounts/sign-up-jobs.ts'
import { createUserDirectory } from './accounts/user-directory.ts'
import { createAuthHandlers } from './auth-handlers.ts'
import type { settings } from './config.ts'
import type { AuthMetrics } from './metrics.ts'
import { createBcryptThreads } from './passwords/bcrypt-threads.ts'
import { createBoundedQueue } from './passwords/bounded-queue.ts'
import { createPasswordHasher } from './passwords/password-hasher.ts'
import { createPasswordStrength } from './passwords/password-strength.ts'
import { startPeriodicTask } from './periodic-task.ts'
import { createRevocationHandlers } from './revocations/revocation-handlers.ts'
import { createRevocationStream } from './revocations/revocation-stream.ts'
import { createRevocations } from './revocations/revocations.ts'
import { createLogin } from './sessions/login.ts'
import { createLogout } from './sessions/logout.ts'
import { createRefresh } from './sessions/refresh.ts'
import { createRefreshFamilies } from './sessions/refresh-families.ts'
import { createRefreshTokens } from './sessions/refresh-token.ts'
import { createSessionRepository } from './sessions/session-repository.ts'
import { createSessions } from './sessions/sessions.ts'
import { JOBS_SCHEMA, type Tables } from './tables.ts'
import { createSigningKeySeal } from './tokens/signing-key-seal.ts'
import { openSigningKeys } from './tokens/signing-keys.ts'
import { createTokenIssuer } from './tokens/token-issuer.ts'

export type AuthSettings = Settings<typeof settings>

export interface AuthServerOptions {
  contract: FileRegistry
  logger: Logger
  metrics: AuthMetrics
  database: Database<Tables>
  redis: Redis
  users: AccountServiceClient
  settings: AuthSettings
}

export interface AuthServer {
  readonly grpc: GrpcServer
  /** What goes on beside the calls: jobs, sweeps, key rotation, the changes of user-svc. */
  startBackground(): Promise<{ stop(): Promise<void> }>
  /** @throws StatusError when the account cannot be made. */
  ensureFirstAdministrator(account: { email: string; password: string }): Promise<void>
  close(): Promise<void>
}

/** auth-svc, not yet listening. It serves what it can while user-svc is away: all but signing up and in. */
export async function createAuthServer(options: AuthServerOptions): Promise<AuthServer> {
  const { contract, logger, metrics, database, redis, settings } = options
  const { db, prepare, ping } = database
  const tokenTtlMs = settings.ACCESS_TOKEN_TTL_S * 1000

  const keys = await openSigningKeys({
    db,
    seal: createSigningKeySeal(settings.SIGNING_KEY_SECRET),
    periodMs: settings.SIGNING_KEY_PERIOD_S * 1000,
    leadMs: settings.SIGNING_KEY_LEAD_S * 1000,
    tokenTtlMs,
  })
  const { TOKEN_ISSUER: issuer, TOKEN_AUDIENCE: audience } = settings
  const tokens = createTokenIssuer({ keys, issuer, audience, accessTtlS: settings.ACCESS_TOKEN_TTL_S })
  const users = createUserDirectory({ client: options.users, token: () => tokens.serviceToken() })
  const cores = availableParallelism()
  const queue = createBoundedQueue({ concurrency: cores, maxWaiting: settings.PASSWORD_QUEUE_LIMIT ?? cores * 32 })
  const hasher = await createPasswordHasher({
    pepper: settings.PASSWORD_PEPPER,
    cost: settings.BCRYPT_COST,
    threads: createBcryptThreads(),
    queue,
  })
  metrics.watch.passwordQueue(() => queue)
  metrics.watch.pool(database.poolState)
  const strength = createPasswordStrength()

  const accounts = createAccountRepository(db)
  const rows = createSessionRepository(db, prepare)
  const refreshTokens = createRefreshTokens(settings.REFRESH_TOKEN_SECRET)
  const families = createRefreshFamilies({ redis, graceMs: settings.REFRESH_GRACE_MS })
  const revocations = createRevocations({ db, stream: createRevocationStream(redis), logger, tokenTtlMs })
  const sessions = createSessions({
    db,
    families,
    refreshTokens,
    tokens,
    revocations,
    refreshTtlMs: settings.REFRESH_TOKEN_TTL_S * 1000,
    sessionTtlMs: settings.SESSION_TTL_S * 1000,
  })
  const signUp = createSignUp({ db, hasher, strength, users })

  const grpc = createGrpcServer({
    contract,
    logger,
    verifier: createTokenVerifier({ keys, issuer, audience }),
    calls: metrics.rpc,
    dependencies: { postgres: ping, redis: () => redis.ping() },
    mapError: toStatusError,
  })
  grpc.add<AuthServiceServer>(
    'auth.v1.AuthService',
    AuthServiceService,
    createAuthHandlers({
      signUp,
      login: createLogin({ accounts, hasher, signUp, users, sessions }),
      refresh: createRefresh({
        sessions,
        rows,
        families,
        refreshTokens,
        logger,
        onReuse: metrics.reuse,
        reuseScope: settings.REUSE_SCOPE,
      }),
      logout: createLogout({ rows, refreshTokens, sessions }),
      sessions,
      keys,
    }),
  )
  grpc.add<RevocationServiceServer>(
    'auth.v1.RevocationService',
    RevocationServiceService,
    createRevocationHandlers(revocations),
  )

  async function cleanUp(): Promise<void> {
    await signUp.adopt()
    await revocations.deleteExpired()
    await rows.deleteExpired()
  }

  return {
    grpc,
    async startBackground() {
      const worker = await startJobWorker({
        databaseUrl: settings.DATABASE_URL,
        schema: JOBS_SCHEMA,
        preparedStatements: settings.DATABASE_PREPARED === 'on',
        logger,
        tasks: { [COMPLETE_SIGN_UP]: payload => signUp.resume((payload as CompleteSignUp).userId) },
      })
      const running = [
        followAccountChanges({ db, users, signUp, revocations, logger }),
        startPeriodicTask({ name: 'revocation sweep', intervalMs: 1000, logger, run: () => revocations.sweep() }),
        startPeriodicTask({ name: 'key rotation', intervalMs: 10_000, logger, run: () => keys.rotate() }),
        startPeriodicTask({ name: 'clean-up', intervalMs: 60_000, logger, run: cleanUp }),
        worker,
      ]
      return {
        stop: async () => {
          await Promise.all(running.map(part => part.stop()))
        },
      }
    },
    ensureFirstAdministrator: account => ensureFirstAdministrator({ accounts, signUp, logger }, account),
    close: () => strength.close(),
  }
}
