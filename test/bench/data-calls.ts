/** What is asked of user-svc on the seeded data, one entry a row of the table. */
import {
  BulkDeleteUsersRequest,
  GetUserTreeRequest,
  ListUsersRequest,
  ReportSignupsRequest,
  ReportUsersRequest,
  UserFilter,
} from '#proto/admin/v1/admin.ts'
import { SearchRequest } from '#proto/search/v1/search.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { createDocumentClient } from '../user-svc/documents/document-client.ts'
import type { UserServer } from '../user-svc/user-server.ts'

export interface DataCall {
  readonly name: string
  run(): Promise<unknown>
}

/** Ids of what is there, to ask for. */
export interface Known {
  /** Of a user in a department, with documents and grants. */
  user: string
  administrator: string
  publicDocuments: readonly string[]
  ownDocuments: readonly string[]
}

export function dataCalls(server: UserServer, known: Known): DataCall[] {
  const { users, admin, search, mint } = server
  const docs = createDocumentClient(server.docs)
  const user = mint.access({ sub: known.user, role: 'user' })
  const root = mint.access({ sub: known.administrator, role: 'admin' })
  const asRoot = { token: root, timeoutMs: 30_000 }
  let turn = 0
  const next = (ids: readonly string[]) => ids[turn++ % ids.length] as string
  const find = (q: string, token?: string) =>
    callUnary(search, search.search, SearchRequest.create({ q }), token === undefined ? {} : { token })

  return [
    { name: 'GetMe', run: () => callUnary(users, users.getMe, {}, { token: user }) },
    { name: 'GetDocument, public', run: () => docs.get(next(known.publicDocuments), undefined) },
    { name: 'GetDocument, own', run: () => docs.get(next(known.ownDocuments), user) },
    { name: 'ListDocuments, anonymous', run: () => docs.list({}, undefined) },
    { name: 'ListDocuments, user', run: () => docs.list({}, user) },
    { name: 'ListDocuments, administrator', run: () => docs.list({}, root) },
    { name: 'ListDocuments, own', run: () => docs.list({ owner: known.user }, user) },
    { name: 'ListDocuments, with a tag', run: () => docs.list({ tag: 'about' }, user) },
    { name: 'ListComments', run: () => docs.comments(next(known.publicDocuments), {}, undefined) },
    { name: 'CreateDocument', run: () => docs.create({ body: 'What is written by the bench' }, user) },
    { name: 'UpdateDocument', run: () => docs.update(next(known.ownDocuments), { title: `Plan ${turn}` }, user) },
    { name: 'CreateComment', run: () => docs.comment(next(known.publicDocuments), {}, user) },
    { name: 'Search, a rare word, anonymous', run: () => find('sextant') },
    { name: 'Search, a rare word, user', run: () => find('sextant', user) },
    { name: 'Search, a frequent word, anonymous', run: () => find('world') },
    { name: 'Search, a frequent word, user', run: () => find('world', user) },
    { name: 'Search, a phrase, user', run: () => find('"new york"', user) },
    { name: 'Search, a prefix, user', run: () => find('astron*', user) },
    { name: 'Search, a word with a tag, user', run: () => find('history tag:about', user) },
    { name: 'admin ListUsers', run: () => callUnary(admin, admin.listUsers, ListUsersRequest.create(), asRoot) },
    {
      name: 'admin ListUsers, of a department, deleted',
      run: () =>
        callUnary(
          admin,
          admin.listUsers,
          ListUsersRequest.create({ department: 'department-3', state: 'deleted' }),
          asRoot,
        ),
    },
    { name: 'admin GetUserTree', run: () => callUnary(admin, admin.getUserTree, GetUserTreeRequest.create(), asRoot) },
    {
      name: 'admin ReportSignups, 30 days',
      run: () => callUnary(admin, admin.reportSignups, ReportSignupsRequest.create(), asRoot),
    },
    {
      name: 'admin ReportUsers, by documents',
      run: () => callUnary(admin, admin.reportUsers, ReportUsersRequest.create(), asRoot),
    },
    {
      name: 'admin ReportUsers, by sentiment',
      run: () =>
        callUnary(admin, admin.reportUsers, ReportUsersRequest.create({ orderBy: '-averageSentiment', minDocs: 10 }), {
          ...asRoot,
        }),
    },
    {
      name: 'admin BulkDeleteUsers, dry run',
      run: () =>
        callUnary(
          admin,
          admin.bulkDeleteUsers,
          BulkDeleteUsersRequest.create({ dryRun: true, filter: UserFilter.create({ department: 'department-3' }) }),
          asRoot,
        ),
    },
  ]
}
