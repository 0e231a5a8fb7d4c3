/**
 * The parts are created in the order of their dependencies: tokens and passwords, revocations and sign-up, sessions.
 */
import { availableParallelism } from 'node:os'
import type { FileRegistry } from '@bufbuild/protobuf'
import type { Redis } from 'ioredis'
import { type AuthServiceServer, AuthServiceService } from '#proto/auth/v1/auth.ts'
import { type RevocationServiceServer, RevocationServiceService } from '#proto/auth/v1/revocations.ts'
import { type SessionServiceServer, SessionServiceService } from '#proto/auth/v1/sessions.ts'
import type { AccountServiceClient } from '#proto/user/v1/account.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { createGrpcServer, type GrpcServer } from '#runtime/grpc/server.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import type { Database } from '#runtime/postgres/database.ts'
import { toStatusError } from '#runtime/postgres/errors.ts'
import { createAccountRepository } from './accounts/account-repository.ts'
import { ensureFirstAdministrator, type FirstAdministrator } from './accounts/first-administrator.ts'
import { createSignUp } from './accounts/sign-up.ts'
import { createUserDirectory } from './accounts/user-directory.ts'
import { createAuthHandlers } from './auth-handlers.ts'
import { type BackgroundTasks, startBackgroundTasks } from './background-tasks.ts'
import type { AuthSettings } from './config.ts'
import type { AuthMetrics } from './metrics.ts'
import { createBcryptPool } from './passwords/bcrypt-pool.ts'
import { createBoundedQueue } from './passwords/bounded-queue.ts'
import { createPasswordHasher } from './passwords/password-hasher.ts'
import { createPasswordStrength } from './passwords/password-strength.ts'
import { assertPepper } from './passwords/pepper-check.ts'
import { createRevocationHandlers } from './revocations/revocation-handlers.ts'
import { createRevocationRepository } from './revocations/revocation-repository.ts'
import { createRevocationStream } from './revocations/revocation-stream.ts'
import { createRevocations, type Revocations } from './revocations/revocations.ts'
import { createLogin } from './sessions/login.ts'
import { createLogout } from './sessions/logout.ts'
import { createRefresh } from './sessions/refresh.ts'
import { createRefreshFamilies } from './sessions/refresh-families.ts'
import { createRefreshTokens } from './sessions/refresh-token.ts'
import { createSessionHandlers } from './sessions/session-handlers.ts'
import { createSessionRepository } from './sessions/session-repository.ts'
import { createSessions } from './sessions/sessions.ts'
import type { Tables } from './tables.ts'
import { budgetPolicy } from './throttling/attempt-budget.ts'
import { createRedisBudget } from './throttling/redis-budget.ts'
import { createSignInThrottle, type SignInThrottle } from './throttling/sign-in-throttle.ts'
import { createSigningKeySeal } from './tokens/signing-key-seal.ts'
import { openSigningKeys } from './tokens/signing-keys.ts'
import { createTokenIssuer, type TokenIssuer } from './tokens/token-issuer.ts'

export interface AuthServerOptions {
  contract: FileRegistry
  /** See `GrpcServerOptions`. */
  reflectedImage?: Uint8Array | undefined
  logger: Logger
  metrics: AuthMetrics
  database: Database<Tables>
  redis: Redis
  users: AccountServiceClient
  settings: AuthSettings
}

/** auth-svc before it listens. */
export interface AuthServer {
  readonly grpc: GrpcServer
  /** @throws if PostgreSQL is unavailable. */
  startBackground(): Promise<BackgroundTasks>
  /** @throws StatusError if the e-mail address or the password is not acceptable. */
  ensureFirstAdministrator(administrator: FirstAdministrator): Promise<void>
  /** Ends the worker thread of the password strength check. Call it after `grpc.stop()`. */
  close(): Promise<void>
}

/**
 * Creates auth-svc; the caller starts listening and background tasks. While user-svc is unavailable, sign-up and
 * sign-in fail with UNAVAILABLE, and everything else works.
 * @throws Error if the stored signing keys cannot be decrypted with `SIGNING_KEY_SECRET`; SettingsError if the stored
 * passwords have another pepper.
 */
export async function createAuthServer(options: AuthServerOptions): Promise<AuthServer> {
  const { contract, logger, metrics, database, redis, settings } = options
  const { db, ping } = database
  const { keys, issuer, verifier } = await createTokens(options)
  const { hasher, strength } = await createPasswords(options)
  const users = createUserDirectory({ client: options.users, token: () => issuer.serviceToken() })
  const accounts = createAccountRepository(db)
  const signUp = createSignUp({ db, hasher, strength, users })
  const tokenTtlMs = settings.ACCESS_TOKEN_TTL_S * 1000
  const revocations = createRevocations({ db, stream: createRevocationStream(redis), logger, tokenTtlMs })
  const { sessions, sessionRepository, refresh, logout } = createSessionOperations(options, issuer, revocations)
  const throttle = createThrottle(options)
  const login = createLogin({ accounts, hasher, signUp, users, sessions, throttle })

  metrics.watch.pool(database.poolState)
  const grpc = createGrpcServer({
    contract,
    reflectedImage: options.reflectedImage,
    logger,
    verifier,
    calls: metrics.rpc,
    dependencies: { postgres: ping, redis: () => redis.ping() },
    mapError: toStatusError,
  })
  grpc.add<AuthServiceServer>(
    'auth.v1.AuthService',
    AuthServiceService,
    createAuthHandlers({ signUp, login, refresh, logout, sessions, keys }),
  )
  grpc.add<RevocationServiceServer>(
    'auth.v1.RevocationService',
    RevocationServiceService,
    createRevocationHandlers(revocations),
  )
  grpc.add<SessionServiceServer>('auth.v1.SessionService', SessionServiceService, createSessionHandlers(sessions))

  return {
    grpc,
    startBackground: () =>
      startBackgroundTasks({
        accountChanges: { db, users, signUp, revocations, logger, onSetAside: metrics.accountChangeSetAside },
        jobs: {
          databaseUrl: settings.DATABASE_URL,
          preparedStatements: settings.DATABASE_PREPARED === 'on',
        },
        keys,
        logger,
        revocations,
        sessionRepository,
        signUp,
      }),
    ensureFirstAdministrator: administrator => ensureFirstAdministrator({ accounts, signUp, logger }, administrator),
    close: () => strength.close(),
  }
}

async function createTokens({ database: { db }, settings }: Pick<AuthServerOptions, 'database' | 'settings'>) {
  const { TOKEN_ISSUER: issuer, TOKEN_AUDIENCE: audience, ACCESS_TOKEN_TTL_S: accessTtlS } = settings
  const longestTtlS = await createRevocationRepository(db).recordTokenTtl(accessTtlS)
  const keys = await openSigningKeys({
    db,
    seal: createSigningKeySeal(settings.SIGNING_KEY_SECRET),
    periodMs: settings.SIGNING_KEY_PERIOD_S * 1000,
    publishAheadMs: settings.SIGNING_KEY_LEAD_S * 1000,
    tokenTtlMs: longestTtlS * 1000,
  })
  return {
    keys,
    issuer: createTokenIssuer({ keys, issuer, audience, accessTtlS }),
    verifier: createTokenVerifier({ keys, issuer, audience }),
  }
}

async function createPasswords({
  database: { db },
  metrics,
  settings,
}: Pick<AuthServerOptions, 'database' | 'metrics' | 'settings'>) {
  await assertPepper(db, settings.PASSWORD_PEPPER)
  const cores = availableParallelism()
  const queue = createBoundedQueue({ concurrency: cores, maxWaiting: settings.PASSWORD_QUEUE_LIMIT ?? cores * 32 })
  metrics.watch.passwordQueue(() => queue)
  const hasher = await createPasswordHasher({
    pepper: settings.PASSWORD_PEPPER,
    cost: settings.BCRYPT_COST,
    bcrypt: createBcryptPool(),
    queue,
  })
  return { hasher, strength: createPasswordStrength() }
}

function createThrottle({ redis, logger, metrics, settings }: AuthServerOptions): SignInThrottle {
  const policy = budgetPolicy(settings.SIGN_IN_FAILURES, settings.SIGN_IN_FAILURES_WINDOW_S)
  const budget = createRedisBudget(redis, policy)
  const throttle = createSignInThrottle({ policy, budget, logger, onRefusal: metrics.signInRefusal })
  metrics.watch.signInThrottle(() => throttle)
  return throttle
}

function createSessionOperations(
  { database: { db, prepare }, redis, logger, metrics, settings }: AuthServerOptions,
  tokens: TokenIssuer,
  revocations: Revocations,
) {
  const sessionRepository = createSessionRepository(db, prepare)
  const refreshTokens = createRefreshTokens(settings.REFRESH_TOKEN_SECRET)
  const families = createRefreshFamilies({ redis, graceMs: settings.REFRESH_GRACE_MS })
  const sessions = createSessions({
    db,
    families,
    refreshTokens,
    tokens,
    revocations,
    refreshTtlMs: settings.REFRESH_TOKEN_TTL_S * 1000,
    sessionTtlMs: settings.SESSION_TTL_S * 1000,
  })
  const refresh = createRefresh({
    sessions,
    sessionRepository,
    families,
    refreshTokens,
    logger,
    onReuse: metrics.reuse,
    reuseScope: settings.REUSE_SCOPE,
  })
  return { sessions, sessionRepository, refresh, logout: createLogout({ sessionRepository, refreshTokens, sessions }) }
}
