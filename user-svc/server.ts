import type { FileRegistry } from '@bufbuild/protobuf'
import { type AdminServiceServer, AdminServiceService } from '#proto/admin/v1/admin.ts'
import { type DocumentServiceServer, DocumentServiceService } from '#proto/docs/v1/docs.ts'
import { type SearchServiceServer, SearchServiceService } from '#proto/search/v1/search.ts'
import { type AccountServiceServer, AccountServiceService } from '#proto/user/v1/account.ts'
import { type ExportServiceServer, ExportServiceService } from '#proto/user/v1/export.ts'
import { type UserServiceServer, UserServiceService } from '#proto/user/v1/user.ts'
import type { TokenVerifier } from '#runtime/auth/token-verifier.ts'
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
import { createPageTokens } from './paging/page-token.ts'
import { createErasure } from './privacy/erasure.ts'
import { createExportHandlers } from './privacy/export-handlers.ts'
import { createExportRepository } from './privacy/export-repository.ts'
import { createSearchHandlers } from './search/search-handlers.ts'
import { createSearchRepository } from './search/search-repository.ts'
import type { Tables } from './tables.ts'
import { createAccountAccess } from './users/account-access.ts'
import { createAccountChanges } from './users/account-changes.ts'
import { createAccountHandlers } from './users/account-handlers.ts'
import { createUserHandlers } from './users/user-handlers.ts'
import { createUserRepository } from './users/user-repository.ts'

export interface UserServerOptions {
  contract: FileRegistry
  logger: Logger
  metrics: UserMetrics
  /** Of access tokens and service tokens. */
  verifier: TokenVerifier
  database: Database<Tables>
  /**
   * The same, by a few connections of its own on which a statement may take long: what administrators ask of all users
   * does not take the connections of everybody else.
   */
  patientDatabase: Database<Tables>
  pageTokenSecret: Uint8Array
}

/** user-svc, not yet listening. The database is all that it cannot be ready without. */
export function createUserServer(options: UserServerOptions): GrpcServer {
  const { contract, logger, metrics, verifier, database, patientDatabase: patient } = options
  const { db, prepare, ping } = database
  const users = createUserRepository(db, prepare)
  const pageTokens = createPageTokens(options.pageTokenSecret)
  metrics.watch.pool(() => sum(database.poolState(), patient.poolState()))
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
  const erasure = createErasure(patient.db)
  server.add<AdminServiceServer>(
    'admin.v1.AdminService',
    AdminServiceService,
    createAdminHandlers({
      administration: createAdministration(patient.db),
      erasure,
      users: createAdministrationRepository(patient.db),
      trees: createUserTreeRepository(patient.db),
      reports: createReportHandlers(createReportRepository(patient.db)),
      pageTokens,
    }),
  )
  server.add<ExportServiceServer>(
    'user.v1.ExportService',
    ExportServiceService,
    createExportHandlers(createExportRepository(db)),
  )
  server.add<AccountServiceServer>(
    'user.v1.AccountService',
    AccountServiceService,
    createAccountHandlers({ users, changes: createAccountChanges(db), erasure }),
  )
  return server
}

function sum(one: PoolState, other: PoolState): PoolState {
  return {
    total: one.total + other.total,
    idle: one.idle + other.idle,
    waiting: one.waiting + other.waiting,
    pipelined: one.pipelined + other.pipelined,
  }
}
