import { randomUUID } from 'node:crypto'
import { type Client, Metadata, type ServiceDefinition, type ServiceError, status } from '@grpc/grpc-js'
import t from 'tap'
import { AdminServiceService } from '#proto/admin/v1/admin.ts'
import { DocumentServiceService } from '#proto/docs/v1/docs.ts'
import { SearchServiceService } from '#proto/search/v1/search.ts'
import { AccountServiceService } from '#proto/user/v1/account.ts'
import { ExportServiceService } from '#proto/user/v1/export.ts'
import { UserServiceService } from '#proto/user/v1/user.ts'
import type { Role } from '#runtime/auth/principal.ts'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { contract, startUserSystem } from './user-system.ts'

const { users, accounts, docs, search, admin, exports, mint } = await startUserSystem(t)

const SERVICES: Record<string, { client: Client; definition: ServiceDefinition }> = {
  'user.v1.UserService': { client: users, definition: UserServiceService },
  'user.v1.AccountService': { client: accounts, definition: AccountServiceService },
  'docs.v1.DocumentService': { client: docs, definition: DocumentServiceService },
  'search.v1.SearchService': { client: search, definition: SearchServiceService },
  'admin.v1.AdminService': { client: admin, definition: AdminServiceService },
  'user.v1.ExportService': { client: exports, definition: ExportServiceService },
}

const ROLES: Role[] = ['user', 'editor', 'moderator', 'admin']
const TOKENS: Record<string, string | undefined> = {
  nobody: undefined,
  ...Object.fromEntries(ROLES.map(role => [role, mint.access({ sub: randomUUID(), role })])),
  service: mint.service(),
}

/** Who is let in. Written by hand, so that a changed policy in the contract shows here. */
const ADMITTED: Record<string, string[]> = {
  'UserService/GetMe': ROLES,
  'UserService/UpdateMe': ROLES,
  'UserService/DeleteMe': ROLES,
  'UserService/GetUser': ROLES,
  'UserService/BatchGetUsers': ROLES,
  'UserService/ListUsers': ['moderator', 'admin'],
  'UserService/DeleteUser': ['admin'],
  'UserService/UpdateUserAccess': ['admin'],
  'AccountService/CreateAccount': ['service'],
  'AccountService/GetAccount': ['service'],
  'AccountService/WatchAccountChanges': ['service'],
  'AccountService/ConfirmErasure': ['service'],
  'DocumentService/CreateDocument': ROLES,
  'DocumentService/GetDocument': ['nobody', ...ROLES],
  'DocumentService/ListDocuments': ['nobody', ...ROLES],
  'DocumentService/UpdateDocument': ROLES,
  'DocumentService/DeleteDocument': ROLES,
  'DocumentService/CreateComment': ROLES,
  'DocumentService/ListComments': ['nobody', ...ROLES],
  'DocumentService/DeleteComment': ROLES,
  'DocumentService/PutGrant': ROLES,
  'DocumentService/DeleteGrant': ROLES,
  'DocumentService/ListGrants': ROLES,
  'SearchService/Search': ['nobody', ...ROLES],
  'AdminService/ListUsers': ['admin'],
  'AdminService/RestoreUser': ['admin'],
  'AdminService/EraseUser': ['admin'],
  'AdminService/GetErasure': ['admin'],
  'AdminService/BulkUpdateRole': ['admin'],
  'AdminService/BulkDeleteUsers': ['admin'],
  'AdminService/GetUserTree': ['admin'],
  'AdminService/ReportSignups': ['admin'],
  'AdminService/ReportUsers': ['admin'],
  'ExportService/ExportMe': ROLES,
  'ExportService/ExportUser': ['admin'],
}

// Bound to fail after admission, with another code than the two of a refusal: nothing is there, or the rules say no. An
// empty request does, unless it is a good one.
const REQUESTS: Record<string, object> = {
  'UserService/ListUsers': { pageToken: 'never given' },
  'AccountService/WatchAccountChanges': { afterSequence: -1n },
  'DocumentService/ListDocuments': { pageToken: 'never given' },
  'AdminService/ListUsers': { pageToken: 'never given' },
  'AdminService/GetUserTree': { pageToken: 'never given' },
  'AdminService/ReportSignups': { days: -1 },
  'AdminService/ReportUsers': { minDocs: -1 },
}

const metadataOf = (token: string | undefined) => {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
  return metadata
}

type Unary = (request: object, metadata: Metadata, done: (error: ServiceError | null) => void) => void
type Stream = (request: object, metadata: Metadata) => NodeJS.ReadableStream

function codeOf(client: Client, name: string, kind: string, request: object, token: string | undefined) {
  const method = (client as unknown as Record<string, Unary & Stream>)[name]?.bind(client)
  if (method === undefined) throw new Error(`The client has no ${name}`)
  return new Promise<status>(resolve => {
    if (kind === 'unary') method(request, metadataOf(token), error => resolve(error?.code ?? status.OK))
    else method(request, metadataOf(token)).on('error', error => resolve((error as ServiceError).code))
  })
}

for (const [service, { client, definition }] of Object.entries(SERVICES)) {
  for (const { name, localName, methodKind } of serviceOf(contract, service).methods) {
    const method = `${service.split('.').at(-1)}/${name}`
    t.test(`${method} lets in who may call it, and nobody else`, async t => {
      const admitted = ADMITTED[method]
      if (admitted === undefined) throw new Error(`Who may call ${method} is not written in this test`)
      const empty = definition[localName]?.requestDeserialize(Buffer.alloc(0))
      const request = { ...empty, ...REQUESTS[method] }
      for (const [caller, token] of Object.entries(TOKENS)) {
        const code = await codeOf(client, localName, methodKind, request, token)
        if (admitted.includes(caller)) {
          t.ok([status.INVALID_ARGUMENT, status.NOT_FOUND].includes(code), `${caller} comes in: ${status[code]}`)
        } else {
          t.equal(code, token === undefined ? status.UNAUTHENTICATED : status.PERMISSION_DENIED, caller)
        }
      }
    })
  }
}

t.test('a token that auth-svc never would issue opens nothing', async t => {
  const { 'a service token': _, ...forgeries } = mint.forgeries()
  for (const [what, token] of Object.entries(forgeries)) {
    t.equal(await codeOf(users, 'getMe', 'unary', {}, token), status.UNAUTHENTICATED, `${what}, as a user`)
    t.equal(
      await codeOf(accounts, 'getAccount', 'unary', { id: randomUUID() }, token),
      status.UNAUTHENTICATED,
      `${what}, as a service`,
    )
  }
})

t.test('an expired token opens nothing', async t => {
  const token = mint.access({ exp: Math.floor(Date.now() / 1000) - 1 })
  t.equal(await codeOf(users, 'getMe', 'unary', {}, token), status.UNAUTHENTICATED)
})
