/** The calls to user-svc that are measured on sample data, one per row of the table. */
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

export interface SampleIds {
  /** A user with a department and 20 to 100 documents. */
  user: string
  administrator: string
  publicDocuments: readonly string[]
  ownDocuments: readonly string[]
}

/** Returns the calls in the order of the table. */
export function dataCalls(server: UserServer, ids: SampleIds): DataCall[] {
  const { users, admin, search, mint } = server
  const docs = createDocumentClient(server.docs)
  const user = mint.access({ sub: ids.user, role: 'user' })
  const root = mint.access({ sub: ids.administrator, role: 'admin' })
  const asRoot = { token: root, timeoutMs: 30_000 }
  let turn = 0
  const next = (list: readonly string[]) => list[turn++ % list.length] as string
  const find = (q: string, token?: string) =>
    callUnary(search, search.search, SearchRequest.create({ q }), token === undefined ? {} : { token })

  return [
    { name: 'GetMe', run: () => callUnary(users, users.getMe, {}, { token: user }) },
    { name: 'GetDocument, public', run: () => docs.get(next(ids.publicDocuments), undefined) },
    { name: 'GetDocument, own', run: () => docs.get(next(ids.ownDocuments), user) },
    { name: 'ListDocuments, anonymous', run: () => docs.list({}, undefined) },
    { name: 'ListDocuments, user', run: () => docs.list({}, user) },
    { name: 'ListDocuments, administrator', run: () => docs.list({}, root) },
    { name: 'ListDocuments, own', run: () => docs.list({ owner: ids.user }, user) },
    { name: 'ListDocuments, with a tag', run: () => docs.list({ tag: 'about' }, user) },
    { name: 'ListComments', run: () => docs.comments(next(ids.publicDocuments), {}, undefined) },
    { name: 'CreateDocument', run: () => docs.create({ body: 'Written by the bench' }, user) },
    { name: 'UpdateDocument', run: () => docs.update(next(ids.ownDocuments), { title: `Plan ${turn}` }, user) },
    { name: 'CreateComment', run: () => docs.comment(next(ids.publicDocuments), {}, user) },
    { name: 'Search, a rare word, anonymous', run: () => find('sextant') },
    { name: 'Search, a rare word, user', run: () => find('sextant', user) },
    { name: 'Search, a frequent word, anonymous', run: () => find('world') },
    { name: 'Search, a frequent word, user', run: () => find('world', user) },
    { name: 'Search, a phrase, user', run: () => find('"new york"', user) },
    { name: 'Search, a prefix, user', run: () => find('astron*', user) },
    { name: 'Search, a word with a tag, user', run: () => find('history tag:about', user) },
    { name: 'admin ListUsers', run: () => callUnary(admin, admin.listUsers, ListUsersRequest.create(), asRoot) },
    {
      name: 'admin ListUsers, deactivated users of a department',
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
