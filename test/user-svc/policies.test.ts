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
  anonymous: undefined,
  ...Object.fromEntries(ROLES.map(role => [role, mint.access({ sub: randomUUID(), role })])),
  service: mint.service(),
}

/** The callers that each method admits. Written by hand, so that a changed policy in the contract fails this test. */
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
  'DocumentService/GetDocument': ['anonymous', ...ROLES],
  'DocumentService/ListDocuments': ['anonymous', ...ROLES],
  'DocumentService/UpdateDocument': ROLES,
  'DocumentService/DeleteDocument': ROLES,
  'DocumentService/CreateComment': ROLES,
  'DocumentService/ListComments': ['anonymous', ...ROLES],
  'DocumentService/DeleteComment': ROLES,
  'DocumentService/PutGrant': ROLES,
  'DocumentService/DeleteGrant': ROLES,
  'DocumentService/ListGrants': ROLES,
  'SearchService/Search': ['anonymous', ...ROLES],
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

// Requests that fail after authorization with INVALID_ARGUMENT or NOT_FOUND, for methods that accept an empty request.
const REQUESTS: Record<string, object> = {
  'UserService/ListUsers': { pageToken: 'never issued' },
  'AccountService/WatchAccountChanges': { afterSequence: -1n },
  'DocumentService/ListDocuments': { pageToken: 'never issued' },
  'AdminService/ListUsers': { pageToken: 'never issued' },
  'AdminService/GetUserTree': { pageToken: 'never issued' },
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
  if (method === undefined) throw new Error(`the client has no method ${name}`)
  return new Promise<status>(resolve => {
    if (kind === 'unary') method(request, metadataOf(token), error => resolve(error?.code ?? status.OK))
    else method(request, metadataOf(token)).on('error', error => resolve((error as ServiceError).code))
  })
}

for (const [service, { client, definition }] of Object.entries(SERVICES)) {
  for (const { name, localName, methodKind } of serviceOf(contract, service).methods) {
    const method = `${service.split('.').at(-1)}/${name}`
    t.test(`${method} admits the callers of its policy and rejects all others`, async t => {
      const admitted = ADMITTED[method]
      if (admitted === undefined) throw new Error(`the table ADMITTED of this test does not list ${method}`)
      const empty = definition[localName]?.requestDeserialize(Buffer.alloc(0))
      const request = { ...empty, ...REQUESTS[method] }
      for (const [caller, token] of Object.entries(TOKENS)) {
        const code = await codeOf(client, localName, methodKind, request, token)
        if (admitted.includes(caller)) {
          t.ok([status.INVALID_ARGUMENT, status.NOT_FOUND].includes(code), `${caller} is admitted: ${status[code]}`)
        } else {
          t.equal(
            code,
            token === undefined ? status.UNAUTHENTICATED : status.PERMISSION_DENIED,
            `${caller} is rejected`,
          )
        }
      }
    })
  }
}

t.test('a token that auth-svc does not issue is rejected as UNAUTHENTICATED', async t => {
  const { 'a service token': _, ...forgeries } = mint.forgeries()
  for (const [name, token] of Object.entries(forgeries)) {
    t.equal(await codeOf(users, 'getMe', 'unary', {}, token), status.UNAUTHENTICATED, `${name}, user method`)
    t.equal(
      await codeOf(accounts, 'getAccount', 'unary', { id: randomUUID() }, token),
      status.UNAUTHENTICATED,
      `${name}, service method`,
    )
  }
})

t.test('an expired token is rejected as UNAUTHENTICATED', async t => {
  const token = mint.access({ exp: Math.floor(Date.now() / 1000) - 1 })
  t.equal(await codeOf(users, 'getMe', 'unary', {}, token), status.UNAUTHENTICATED)
})
