/** Runs auth-svc in the process of the test, with its own database, a fake user-svc and gRPC clients. */
import { randomBytes, randomUUID } from 'node:crypto'
import { Metadata } from '@grpc/grpc-js'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import type { Test } from 'tap'
import { AuthServiceClient, type SignUpRequest, type Tokens } from '#proto/auth/v1/auth.ts'
import { RevocationServiceClient } from '#proto/auth/v1/revocations.ts'
import { SessionServiceClient } from '#proto/auth/v1/sessions.ts'
import { AccountServiceClient } from '#proto/user/v1/account.ts'
import { createRemoteKeySet } from '#runtime/auth/key-set.ts'
import type { UserPrincipal } from '#runtime/auth/principal.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { callUnary, createClient } from '#runtime/grpc/client.ts'
import { readContract } from '#runtime/grpc/contract.ts'
import { CLIENT_ADDRESS, CLIENT_USER_AGENT } from '#runtime/grpc/metadata.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { type Database, openDatabase } from '#runtime/postgres/database.ts'
import { readSettings } from '#runtime/process/env.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { fromGrpcError } from '#runtime/status.ts'
import { type AuthSettings, settingsSchema } from '../../auth-svc/config.ts'
import { type AuthMetrics, createAuthMetrics } from '../../auth-svc/metrics.ts'
import { type AuthServer, createAuthServer } from '../../auth-svc/server.ts'
import { SCHEMA, type Tables } from '../../auth-svc/tables.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { openTestRedis } from '../support/test-redis.ts'
import { startUserSvcPeer, type UserSvcPeer } from './user-svc-peer.ts'

const contract = readContract(new URL('../../proto/gen/contract.binpb', import.meta.url))
const silent = pino({ level: 'silent' })

/** Default password of `AuthSystem.signUp` and `login`. */
export const PASSWORD = 'plum-Trombone-41'

export interface AuthSystemOptions {
  /** Overrides of the settings. */
  settings?: Partial<AuthSettings>
  /** Whether to run jobs, periodic tasks and the stream of account changes. Default false. */
  background?: boolean
  /** Default: an empty logical database of the shared Redis server. */
  redisUrl?: string
  /** Logger of auth-svc. Default: logs nothing. */
  logger?: Logger
}

/** A running auth-svc. `signUp`, `login` and `refresh` return the refresh token in the body and throw `StatusError`. */
export interface AuthSystem {
  database: Database<Tables>
  redis: Redis
  server: AuthServer
  metrics: AuthMetrics
  settings: AuthSettings
  address: string
  auth: AuthServiceClient
  revocations: RevocationServiceClient
  sessions: SessionServiceClient
  userSvc: UserSvcPeer
  signUp(request?: Partial<SignUpRequest>): Promise<Tokens>
  login(request: { email: string; password?: string; tokenDelivery?: string }, client?: ClientMetadata): Promise<Tokens>
  refresh(refreshToken: string | undefined): Promise<Tokens>
  /** Verifies the access token. */
  principalOf(tokens: Tokens): Promise<UserPrincipal>
  newEmail(): string
}

/** Metadata of a sign-in, as the gateway sends it. */
export interface ClientMetadata {
  address: string
  userAgent: string
}

/** Opens a database of auth-svc for this test, with all migrations applied. */
export async function openAuthDatabase(t: Test): Promise<Database<Tables>> {
  const { authUrl } = await openTestDatabase(t)
  const database = openDatabase<Tables>({ url: authUrl, schema: SCHEMA, logger: silent, poolSize: 10 })
  t.teardown(() => database.close())
  return database
}

/** Starts auth-svc for this test. It stops at the end of the test. */
export async function startAuthSystem(t: Test, options: AuthSystemOptions = {}): Promise<AuthSystem> {
  const { authUrl } = await openTestDatabase(t)
  const redisUrl = options.redisUrl ?? (await openTestRedis(t)).url
  const logger = options.logger ?? silent
  const secret = () => randomBytes(32).toString('base64')
  const settings: AuthSettings = {
    ...readSettings(settingsSchema, {
      DATABASE_URL: authUrl,
      REDIS_URL: redisUrl,
      PASSWORD_PEPPER: secret(),
      REFRESH_TOKEN_SECRET: secret(),
      SIGNING_KEY_SECRET: secret(),
      DATABASE_POOL_SIZE: '10',
    }),
    // The minimum of bcrypt, to save time. The tests of the hasher check the cost.
    BCRYPT_COST: 4,
    // Most requests of the tests have no client address, and so share one budget.
    SIGN_IN_FAILURES: 1_000_000,
    ...options.settings,
  }
  const database = openDatabase<Tables>({ url: authUrl, schema: SCHEMA, logger: silent, poolSize: 10 })
  const redis = createRedis(redisUrl, silent)
  const userSvc = await startUserSvcPeer(t, { issuer: settings.TOKEN_ISSUER })
  const users = createClient(AccountServiceClient, userSvc.address)
  const metrics = createAuthMetrics()
  const server = await createAuthServer({
    contract,
    logger,
    metrics,
    database,
    redis,
    users,
    settings,
  })
  const address = `127.0.0.1:${await server.grpc.listen('127.0.0.1:0')}`
  userSvc.trust(address)
  const background = options.background ? await server.startBackground() : undefined

  const auth = createClient(AuthServiceClient, address)
  const revocations = createClient(RevocationServiceClient, address)
  const sessions = createClient(SessionServiceClient, address)
  t.teardown(async () => {
    auth.close()
    revocations.close()
    sessions.close()
    await server.grpc.stop()
    await background?.stop()
    users.close()
    await server.close()
    redis.disconnect()
    await database.close()
  })

  const newEmail = () => `${randomUUID()}@example.com`
  const verifier = createTokenVerifier({
    keys: createRemoteKeySet({ fetch: async () => (await callUnary(auth, auth.getJwks, {})).keys, minIntervalMs: 0 }),
    issuer: settings.TOKEN_ISSUER,
    audience: settings.TOKEN_AUDIENCE,
  })

  return {
    database,
    redis,
    server,
    metrics,
    settings,
    address,
    auth,
    revocations,
    sessions,
    userSvc: {
      ...userSvc,
      async restart() {
        await userSvc.restart()
        // The client reconnects with a backoff.
        await new Promise<void>((resolve, reject) =>
          users.waitForReady(Date.now() + 10_000, error => (error ? reject(error) : resolve())),
        )
      },
    },
    newEmail,
    signUp: request =>
      callUnary(
        auth,
        auth.signUp,
        { email: newEmail(), password: PASSWORD, name: 'Ada', tokenDelivery: 'body', ...request },
        { timeoutMs: 20_000 },
      ),
    login: ({ email, password = PASSWORD, tokenDelivery = 'body' }, client) =>
      new Promise((resolve, reject) => {
        const metadata = new Metadata()
        if (client !== undefined) {
          metadata.set(CLIENT_ADDRESS, client.address)
          metadata.set(CLIENT_USER_AGENT, client.userAgent)
        }
        const deadline = Date.now() + 20_000
        auth.login({ email, password, tokenDelivery }, metadata, { deadline }, (error, response) => {
          if (error !== null) reject(fromGrpcError(error))
          else if (response.result?.$case === 'tokens') resolve(response.result.value)
          else reject(new Error('The response of Login has no tokens'))
        })
      }),
    refresh: refreshToken =>
      callUnary(auth, auth.refresh, { refreshToken: refreshToken ?? '', refreshCookie: '' }, { timeoutMs: 10_000 }),
    async principalOf(tokens) {
      const principal = await verifier.verify(tokens.accessToken)
      if (principal.kind !== 'user') throw new Error('The token is not of a user')
      return principal
    },
  }
}
