import type { FileRegistry } from '@bufbuild/protobuf'
import { type DocumentServiceServer, DocumentServiceService } from '#proto/docs/v1/docs.ts'
import { type SearchServiceServer, SearchServiceService } from '#proto/search/v1/search.ts'
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
import { createCommentHandlers } from './comment-handlers.ts'
import { createCommentRepository } from './comment-repository.ts'
import { createDocumentHandlers } from './document-handlers.ts'
import { createDocumentListRepository } from './document-list-repository.ts'
import { createDocumentRepository } from './document-repository.ts'
import { createDocuments } from './documents.ts'
import { createGrantHandlers } from './grant-handlers.ts'
import { createGrantRepository } from './grant-repository.ts'
import type { UserMetrics } from './metrics.ts'
import { createPageTokens } from './page-token.ts'
import { createSearchHandlers } from './search-handlers.ts'
import { createSearchRepository } from './search-repository.ts'
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
  const pageTokens = createPageTokens(options.pageTokenSecret)
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
      pageTokens,
    }),
  )
  const documents = createDocuments({ db, documents: createDocumentRepository(db), users })
  server.add<DocumentServiceServer>(
    'docs.v1.DocumentService',
    DocumentServiceService,
    createDocumentHandlers({
      documents,
      lists: createDocumentListRepository(db),
      users,
      pageTokens,
      comments: createCommentHandlers({ db, comments: createCommentRepository(db), documents, users, pageTokens }),
      grants: createGrantHandlers({ grants: createGrantRepository(db), documents, users, pageTokens }),
    }),
  )
  server.add<SearchServiceServer>(
    'search.v1.SearchService',
    SearchServiceService,
    createSearchHandlers({ documents: createSearchRepository(db), pageTokens }),
  )
  server.add<AccountServiceServer>(
    'user.v1.AccountService',
    AccountServiceService,
    createAccountHandlers({ users, changes: createAccountChanges(db) }),
  )
  return server
}
