import type { FileRegistry } from '@bufbuild/protobuf'
import { type AdminServiceServer, AdminServiceService } from '#proto/admin/v1/admin.ts'
import { type DocumentServiceServer, DocumentServiceService } from '#proto/docs/v1/docs.ts'
import { type SearchServiceServer, SearchServiceService } from '#proto/search/v1/search.ts'
import { type AccountServiceServer, AccountServiceService } from '#proto/user/v1/account.ts'
import { type ExportServiceServer, ExportServiceService } from '#proto/user/v1/export.ts'
import { type UserServiceServer, UserServiceService } from '#proto/user/v1/user.ts'
import { createGrpcServer, type GrpcServer } from '#runtime/grpc-server.ts'
import type { Logger } from '#runtime/logger.ts'
import type { PoolState } from '#runtime/metrics.ts'
import type { Database } from '#runtime/postgres.ts'
import { toStatusError } from '#runtime/postgres-errors.ts'
import type { TokenVerifier } from '#runtime/principal.ts'
import { createAccountAccess } from './account-access.ts'
import { createAccountChanges } from './account-changes.ts'
import { createAccountHandlers } from './account-handlers.ts'
import { createAdminHandlers } from './admin-handlers.ts'
import { createAdministration } from './administration.ts'
import { createAdministrationRepository } from './administration-repository.ts'
import { createCommentHandlers } from './comment-handlers.ts'
import { createCommentRepository } from './comment-repository.ts'
import { createDocumentHandlers } from './document-handlers.ts'
import { createDocumentListRepository } from './document-list-repository.ts'
import { createDocumentRepository } from './document-repository.ts'
import { createDocuments } from './documents.ts'
import { createErasure } from './erasure.ts'
import { createExportHandlers } from './export-handlers.ts'
import { createExportRepository } from './export-repository.ts'
import { createGrantHandlers } from './grant-handlers.ts'
import { createGrantRepository } from './grant-repository.ts'
import type { UserMetrics } from './metrics.ts'
import { createPageTokens } from './page-token.ts'
import { createReportHandlers } from './report-handlers.ts'
import { createReportRepository } from './report-repository.ts'
import { createSearchHandlers } from './search-handlers.ts'
import { createSearchRepository } from './search-repository.ts'
import type { Tables } from './tables.ts'
import { createUserHandlers } from './user-handlers.ts'
import { createUserRepository } from './user-repository.ts'
import { createUserTreeRepository } from './user-tree-repository.ts'

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
