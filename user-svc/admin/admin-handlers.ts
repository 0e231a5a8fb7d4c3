import type { AdminServiceServer } from '#proto/admin/v1/admin.ts'
import type { Role } from '#runtime/auth/principal.ts'
import { type Handlers, userOf } from '#runtime/grpc/call.ts'
import { type PageTokens, servePage } from '../paging/page-token.ts'
import type { Erasure } from '../privacy/erasure.ts'
import { toAdminUser, toErasure, toRole, toUserFilter, toUserNode } from './admin-message.ts'
import type { Administration } from './administration.ts'
import type { AdministrationRepository, UserState } from './administration-repository.ts'
import type { ReportHandlers } from './report-handlers.ts'
import type { UserFilter } from './user-filter.ts'
import type { UserTreeRepository } from './user-tree-repository.ts'

export interface AdminHandlersDependencies {
  administration: Administration
  erasure: Pick<Erasure, 'erase' | 'find'>
  users: Pick<AdministrationRepository, 'page'>
  trees: UserTreeRepository
  reports: ReportHandlers
  pageTokens: PageTokens
}

const DEFAULT_PAGE_SIZE = 50
const DEFAULT_TREE = { users: 20, documents: 5, comments: 3 }

/** `admin.v1.AdminService`. */
export function createAdminHandlers(dependencies: AdminHandlersDependencies): Handlers<AdminServiceServer> {
  const { administration, erasure, users, trees, reports, pageTokens } = dependencies

  return {
    async listUsers({ pageSize, pageToken, ...conditions }) {
      const { role, department, emailPrefix, createdSince, createdBefore } = conditions
      const state = (conditions.state ?? 'living') as UserState
      const filter: UserFilter = {
        role: toRole(role),
        department,
        emailPrefix,
        createdSince,
        createdBefore,
      }
      const list = JSON.stringify(['admin users', state, filter])
      const { rows, nextPageToken } = await servePage(pageTokens, list, pageToken, after =>
        users.page(state, filter, pageSize || DEFAULT_PAGE_SIZE, after),
      )
      return { users: rows.map(toAdminUser), nextPageToken }
    },
    async restoreUser({ id }) {
      return toAdminUser(await administration.restore(id))
    },
    async eraseUser({ id }, call) {
      return toErasure(await erasure.erase(id, userOf(call).userId))
    },
    async getErasure({ id }) {
      return toErasure(await erasure.find(id))
    },
    async bulkUpdateRole({ filter, role, dryRun }, call) {
      const counts = await administration.setRole(toUserFilter(filter), role as Role, userOf(call).userId, dryRun)
      return { ...counts, dryRun }
    },
    async bulkDeleteUsers({ filter, dryRun }, call) {
      return { ...(await administration.deactivate(toUserFilter(filter), userOf(call).userId, dryRun)), dryRun }
    },
    async getUserTree({ pageSize, documents, comments, pageToken }) {
      const size = {
        users: pageSize || DEFAULT_TREE.users,
        documents: documents || DEFAULT_TREE.documents,
        comments: comments || DEFAULT_TREE.comments,
      }
      const { rows, nextPageToken } = await servePage(pageTokens, 'tree', pageToken, after => trees.page(size, after))
      return { users: rows.map(toUserNode), nextPageToken }
    },
    ...reports,
  }
}
