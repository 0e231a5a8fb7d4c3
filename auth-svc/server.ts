import { availableParallelism } from 'node:os'
import type { FileRegistry } from '@bufbuild/protobuf'
import type { Redis } from 'ioredis'
import { type AuthServiceServer, AuthServiceService } from '#proto/auth/v1/auth.ts'
import { type RevocationServiceServer, RevocationServiceService } from '#proto/auth/v1/revocations.ts'
import type { AccountServiceClient } from '#proto/user/v1/account.ts'
import type { Settings } from '#runtime/env.ts'
import { createGrpcServer, type GrpcServer } from '#runtime/grpc-server.ts'
import { startJobWorker } from '#runtime/job-worker.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Database } from '#runtime/postgres.ts'
import { toStatusError } from '#runtime/postgres-errors.ts'
import { createTokenVerifier } from '#runtime/principal.ts'
import { followAccountChanges } from './account-changes.ts'
import { createAccountRepository } from './account-repository.ts'
import { createAuthHandlers } from './auth-handlers.ts'
import { createBcryptThreads } from './bcrypt-threads.ts'
import { createBoundedQueue } from './bounded-queue.ts'
import type { settings } from './config.ts'
import { ensureFirstAdministrator } from './first-administrator.ts'
import { createLogin } from './login.ts'
import { createLogout } from './logout.ts'
import type { AuthMetrics } from './metrics.ts'
import { createPasswordHasher } from './password-hasher.ts'
import { createPasswordStrength } from './password-strength.ts'
import { startPeriodic } from './periodic.ts'
import { createRefresh } from './refresh.ts'
import { createRefreshFamilies } from './refresh-families.ts'
import { createRefreshTokens } from './refresh-token.ts'
import { createRevocationHandlers } from './revocation-handlers.ts'
import { createRevocationStream } from './revocation-stream.ts'
import { createRevocations } from './revocations.ts'
import { createSessionRepository } from './session-repository.ts'
import { createSessions } from './sessions.ts'
import { createSignUp } from './sign-up.ts'
import { COMPLETE_SIGN_UP, type CompleteSignUp } from './sign-up-jobs.ts'
import { createSigningKeySeal } from './signing-key-seal.ts'
import { openSigningKeys } from './signing-keys.ts'
import { JOBS_SCHEMA, type Tables } from './tables.ts'
import { createTokenIssuer } from './token-issuer.ts'
import { createUserDirectory } from './user-directory.ts'

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
        startPeriodic({ name: 'revocation sweep', everyMs: 1000, logger, run: () => revocations.sweep() }),
        startPeriodic({ name: 'key rotation', everyMs: 10_000, logger, run: () => keys.rotate() }),
        startPeriodic({ name: 'clean-up', everyMs: 60_000, logger, run: cleanUp }),
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
