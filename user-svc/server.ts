import type { FileRegistry } from '@bufbuild/protobuf'
import type { Kysely } from 'kysely'
import { type AdminServiceServer, AdminServiceService } from '#proto/admin/v1/admin.ts'
import type { SessionServiceClient } from '#proto/auth/v1/sessions.ts'
import { type DocumentServiceServer, DocumentServiceService } from '#proto/docs/v1/docs.ts'
import { type SearchServiceServer, SearchServiceService } from '#proto/search/v1/search.ts'
import { type AccountServiceServer, AccountServiceService } from '#proto/user/v1/account.ts'
import { type ExportServiceServer, ExportServiceService } from '#proto/user/v1/export.ts'
import { type UserServiceServer, UserServiceService } from '#proto/user/v1/user.ts'
import type { TokenVerifier } from '#runtime/auth/token-verifier.ts'
import type { Handlers } from '#runtime/grpc/call.ts'
import { createGrpcServer, type GrpcServer } from '#runtime/grpc/server.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import type { Database } from '#runtime/postgres/database.ts'
import { toStatusError } from '#runtime/postgres/errors.ts'
import type { PoolState } from '#runtime/postgres/pool-metrics.ts'
import { createAdminHandlers } from './admin/admin-handlers.ts'
import { createAdministration } from './admin/administration.ts'
import { createAdministrationRepository } from './admin/administration-repository.ts'
import { createReportHandlers } from './admin/report-handlers.ts'
import { createReportRepository } from './admin/report-repository.ts'
import { createUserTreeRepository } from './admin/user-tree-repository.ts'
import { createCommentHandlers } from './documents/comment-handlers.ts'
import { createCommentRepository } from './documents/comment-repository.ts'
import { createDocumentHandlers } from './documents/document-handlers.ts'
import { createDocumentListRepository } from './documents/document-list-repository.ts'
import { createDocumentRepository } from './documents/document-repository.ts'
import { createDocuments } from './documents/documents.ts'
import { createGrantHandlers } from './documents/grant-handlers.ts'
import { createGrantRepository } from './documents/grant-repository.ts'
import type { UserMetrics } from './metrics.ts'
import { createPageTokens, type PageTokens } from './paging/page-token.ts'
import { createErasure, type Erasure } from './privacy/erasure.ts'
import { createExportHandlers } from './privacy/export-handlers.ts'
import { createExportRepository } from './privacy/export-repository.ts'
import { createSessionDirectory } from './privacy/session-directory.ts'
import { createSearchHandlers } from './search/search-handlers.ts'
import { createSearchRepository } from './search/search-repository.ts'
import type { Tables } from './tables.ts'
import { createAccountAccess } from './users/account-access.ts'
import { createAccountChanges } from './users/account-changes.ts'
import { createAccountHandlers } from './users/account-handlers.ts'
import { createUserHandlers } from './users/user-handlers.ts'
import { createUserRepository, type UserRepository } from './users/user-repository.ts'

export interface UserServerOptions {
  contract: FileRegistry
  /** See `GrpcServerOptions`. */
  reflectedImage?: Uint8Array | undefined
  logger: Logger
  metrics: UserMetrics
  verifier: TokenVerifier
  /** Serves all methods except those of administrators. Its state decides readiness. */
  database: Database<Tables>
  /**
   * A small pool with a longer statement timeout for bulk changes, erasures and reports, so that they do not occupy the
   * connections of other requests.
   */
  adminDatabase: Database<Tables>
  /** Client of auth-svc. While auth-svc is unavailable, exports fail with UNAVAILABLE. */
  sessions: SessionServiceClient
  /** Key of page tokens, 32 bytes. */
  pageTokenSecret: Uint8Array
}

/** Creates the gRPC server of user-svc without listening. It is ready while the database is reachable. */
export function createUserServer(options: UserServerOptions): GrpcServer {
  const { contract, reflectedImage, logger, metrics, verifier, database, adminDatabase, sessions, pageTokenSecret } =
    options
  metrics.watch.pool(() => sumPoolStates(database.poolState(), adminDatabase.poolState()))
  const server = createGrpcServer({
    contract,
    reflectedImage,
    logger,
    verifier,
    calls: metrics.rpc,
    dependencies: { postgres: database.ping },
    mapError: toStatusError,
  })
  const { db, prepare } = database
  const pageTokens = createPageTokens(pageTokenSecret)
  const users = createUserRepository(db, prepare)
  const erasure = createErasure(adminDatabase.db)

  server.add<UserServiceServer>(
    'user.v1.UserService',
    UserServiceService,
    createUserHandlers({ users, access: createAccountAccess(db), pageTokens }),
  )
  server.add<AccountServiceServer>(
    'user.v1.AccountService',
    AccountServiceService,
    createAccountHandlers({ users, changes: createAccountChanges(db), erasure }),
  )
  server.add<DocumentServiceServer>(
    'docs.v1.DocumentService',
    DocumentServiceService,
    documentHandlers(db, users, pageTokens),
  )
  server.add<SearchServiceServer>(
    'search.v1.SearchService',
    SearchServiceService,
    createSearchHandlers({ documents: createSearchRepository(db), pageTokens }),
  )
  server.add<ExportServiceServer>(
    'user.v1.ExportService',
    ExportServiceService,
    createExportHandlers({ exports: createExportRepository(db), sessions: createSessionDirectory(sessions) }),
  )
  server.add<AdminServiceServer>(
    'admin.v1.AdminService',
    AdminServiceService,
    adminHandlers(adminDatabase.db, erasure, pageTokens),
  )
  return server
}

function documentHandlers(
  db: Kysely<Tables>,
  users: UserRepository,
  pageTokens: PageTokens,
): Handlers<DocumentServiceServer> {
  const documents = createDocuments({ db, documents: createDocumentRepository(db), users })
  return createDocumentHandlers({
    documents,
    lists: createDocumentListRepository(db),
    users,
    pageTokens,
    comments: createCommentHandlers({ db, comments: createCommentRepository(db), documents, users, pageTokens }),
    grants: createGrantHandlers({ grants: createGrantRepository(db), documents, users, pageTokens }),
  })
}

function adminHandlers(db: Kysely<Tables>, erasure: Erasure, pageTokens: PageTokens): Handlers<AdminServiceServer> {
  return createAdminHandlers({
    administration: createAdministration(db),
    erasure,
    users: createAdministrationRepository(db),
    trees: createUserTreeRepository(db),
    reports: createReportHandlers(createReportRepository(db)),
    pageTokens,
  })
}

function sumPoolStates(a: PoolState, b: PoolState): PoolState {
  return {
    total: a.total + b.total,
    idle: a.idle + b.idle,
    waiting: a.waiting + b.waiting,
    pipelined: a.pipelined + b.pipelined,
  }
}
