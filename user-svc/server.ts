import type { FileRegistry } from '@bufbuild/protobuf'
import { type AccountServiceServer, AccountServiceService } from '#proto/user/v1/account.ts'
import { type UserServiceServer, UserServiceService } from '#proto/user/v1/user.ts'
import { createGrpcServer, type GrpcServer } from '#runtime/grpc-server.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Database } from '#runtime/postgres.ts'
import { toStatusError } from '#runtime/postgres-errors.ts'
import type { TokenVerifier } from '#runtime/principal.ts'
import { createAccountAccess } from './account-access.ts'
import { createAccountChanges } from './account-changes.ts'
import { createAccountHandlers } from './account-handlers.ts'
import type { UserMetrics } from './metrics.ts'
import { createPageTokens } from './page-token.ts'
import type { Tables } from './tables.ts'
import { createUserHandlers } from './user-handlers.ts'
import { createUserRepository } from './user-repository.ts'

export interface UserServerOptions {
  contract: FileRegistry
  logger: Logger
  metrics: UserMetrics
  /** Of access tokens and service tokens. */
  verifier: TokenVerifier
  database: Database<Tables>
  pageTokenSecret: Uint8Array
}

/** user-svc, not yet listening. The database is all that it cannot be ready without. */
export function createUserServer(options: UserServerOptions): GrpcServer {
  const { contract, logger, metrics, verifier, database } = options
  const { db, prepare, ping } = database
  const users = createUserRepository(db, prepare)
  metrics.watch.pool(database.poolState)
  const server = createGrpcServer({
    contract,
    logger,
    verifier,
    calls: metrics.rpc,
    dependencies: { postgres: ping },
    mapError: toStatusError,
  })
  server.add<UserServiceServer>(
    'user.v1.UserService',
    UserServiceService,
    createUserHandlers({
      users,
      access: createAccountAccess(db),
      pageTokens: createPageTokens(options.pageTokenSecret),
    }),
  )
  server.add<AccountServiceServer>(
    'user.v1.AccountService',
    AccountServiceService,
    createAccountHandlers({ users, changes: createAccountChanges(db) }),
  )
  return server
}
