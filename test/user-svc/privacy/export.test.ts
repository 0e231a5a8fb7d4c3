import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import t from 'tap'
import type { ExportRecord } from '#proto/user/v1/export.ts'
import type { SessionRecord } from '#proto/user/v1/session_record.ts'
import { callServerStream, callUnary } from '#runtime/grpc/client.ts'
import { Code, unauthenticated, unavailable } from '#runtime/status.ts'
import { createExportRepository } from '../../../user-svc/privacy/export-repository.ts'
import { countStatements } from '../../support/statement-counter.ts'
import { createDocumentClient } from '../documents/document-client.ts'
import { startUserSystem } from '../user-system.ts'

const system = await startUserSystem(t)
const { admin, users, exports, createUser, tokenOf, authSvc } = system
const { db } = system.database
const docs = createDocumentClient(system.docs)
const root = await createUser({ role: 'admin', name: 'root' })

const exportMe = (token: string) => collect(callServerStream(exports, exports.exportMe, {}, { token }))
const exportUser = (id: string) =>
  collect(callServerStream(exports, exports.exportUser, { id }, { token: tokenOf(root) }))

async function collect(stream: AsyncIterable<ExportRecord>): Promise<ExportRecord[]> {
  const records: ExportRecord[] = []
  for await (const record of stream) records.push(record)
  return records
}

const kinds = (records: ExportRecord[]) => records.map(({ record }) => record?.$case)
const idsOf = (records: ExportRecord[], kind: 'document' | 'comment') =>
  records.flatMap(({ record }) => (record?.$case === kind ? [record.value.id] : []))

/** Inserts `count` documents of the user with a comment on each; groups of 700 have the same creation time. */
async function write(userId: string, count: number): Promise<void> {
  await sql`
    insert into documents_all (owner_id, title, created_at)
    select ${userId}::uuid, 'Plan ' || number, timestamptz '2026-01-01' + number / 700 * interval '1 microsecond'
    from generate_series(1, ${count}::int) as number`.execute(db)
  await sql`
    insert into comments_all (document_id, author_id, body) select id, owner_id, 'Well' from documents_all
    where owner_id = ${userId}`.execute(db)
}

t.test(
  'an export has the user, all documents and comments including deleted ones, and the grants to the user',
  async t => {
    const [ada, grace] = [await createUser({ department: 'sales' }), await createUser({ name: 'Grace' })]
    const token = tokenOf(ada)
    const plan = await docs.create({ title: 'Plan', body: 'Of all things', tags: ['x'] }, token)
    const deleted = await docs.create({ title: 'Deleted' }, token)
    await docs.remove(deleted.id, token)
    const comment = await docs.comment(plan.id, { body: 'Well', sentiment: 0.5 }, token)
    const granted = await docs.create({ title: 'Theirs' }, tokenOf(grace))
    await docs.grant(granted.id, ada.id, 'read', tokenOf(grace))

    const records = await exportMe(token)
    t.match(records, [
      { record: { $case: 'user', value: { id: ada.id, email: ada.email, department: 'sales' } }, deletedAt: undefined },
      {
        record: { $case: 'document', value: { id: plan.id, body: 'Of all things', tags: ['x'] } },
        deletedAt: undefined,
      },
      { record: { $case: 'document', value: { id: deleted.id } }, deletedAt: Date },
      { record: { $case: 'comment', value: { id: comment.id, body: 'Well', sentiment: 0.5 } } },
      { record: { $case: 'grant', value: { documentId: granted.id, access: 'read' } } },
    ])
    t.equal(records.length, 5)
    t.same(await exportUser(ada.id), records)
  },
)

const newSession = (changes: Partial<SessionRecord> = {}): SessionRecord => ({
  id: crypto.randomUUID(),
  createdAt: new Date('2026-01-01T00:00:00Z'),
  lastUsedAt: new Date('2026-01-02T00:00:00Z'),
  expiresAt: new Date('2026-01-31T00:00:00Z'),
  userAgent: 'Phone/1',
  address: '2001:db8::1',
  endedAt: undefined,
  endReason: '',
  ...changes,
})

t.test('an export has all sessions of auth-svc, page by page, read with the token of the caller', async t => {
  const user = await createUser()
  const sessions = Array.from({ length: 5 }, () => newSession())
  authSvc.sessions.set(user.id, [...sessions, newSession({ endedAt: new Date(), endReason: 'logout' })])
  for (const [caller, read] of [
    [user, () => exportMe(tokenOf(user))],
    [root, () => exportUser(user.id)],
  ] as const) {
    authSvc.callers.length = 0
    const records = await read()
    t.same(kinds(records), ['user', ...Array(6).fill('session')])
    t.same(
      records.flatMap(({ record }) => (record?.$case === 'session' ? [record.value] : [])),
      authSvc.sessions.get(user.id),
    )
    t.same(authSvc.callers, Array(3).fill(caller.id))
  }
})

t.test('an export whose sessions cannot be read fails and is not shortened', async t => {
  const user = await createUser()
  authSvc.sessions.set(user.id, [newSession(), newSession(), newSession()])
  let pages = 0
  t.teardown(() => {
    authSvc.beforePage = () => {}
  })
  const failAfter = (limit: number, error: Error) => {
    pages = 0
    authSvc.beforePage = () => {
      if (pages++ >= limit) throw error
    }
  }
  const received: ExportRecord[] = []
  const read = async () => {
    received.length = 0
    for await (const record of callServerStream(exports, exports.exportMe, {}, { token: tokenOf(user) }))
      received.push(record)
  }
  failAfter(0, unavailable('Redis'))
  await t.rejects(read(), { code: Code.UNAVAILABLE, reason: 'unavailable' })
  t.same(received, [], 'without the first page, the export fails before its first record')
  failAfter(0, new Error('a defect of auth-svc'))
  await t.rejects(read(), { code: Code.UNAVAILABLE, reason: 'unavailable' })
  failAfter(1, unavailable('Redis'))
  await t.rejects(read(), { code: Code.UNAVAILABLE, reason: 'unavailable' })
  t.same(kinds(received), ['user', 'session', 'session'])
  failAfter(1, unauthenticated('token_expired', 'The token has expired'))
  await t.rejects(read(), { code: Code.UNAUTHENTICATED, reason: 'token_expired' })
})

t.test('an export of thousands of rows is complete, ordered and without duplicates', async t => {
  const user = await createUser()
  await write(user.id, 2345)
  const records = await exportMe(tokenOf(user))
  t.same(kinds(records), ['user', ...Array(2345).fill('document'), ...Array(2345).fill('comment')])
  for (const [kind, table] of [
    ['document', 'documents_all'],
    ['comment', 'comments_all'],
  ] as const) {
    const owner = kind === 'document' ? 'owner_id' : 'author_id'
    const { rows } = await sql<{ id: string }>`
      select id from ${sql.table(table)} where ${sql.ref(owner)} = ${user.id} order by created_at, id`.execute(db)
    t.same(
      idsOf(records, kind),
      rows.map(({ id }) => id),
    )
  }
})

t.test('concurrent changes neither skip nor repeat a row that exists during the whole export', async t => {
  const user = await createUser()
  await write(user.id, 400)
  const remaining = await sql<{ id: string }>`
    select id from documents_all where owner_id = ${user.id} and title like '%7'`.execute(db)
  const exported: string[] = []
  for await (const { id } of createExportRepository(db).documents(user.id, new AbortController().signal)) {
    exported.push(id)
    if (exported.length % 40 !== 0) continue
    await sql`update documents_all set body = body || 'x', tags = '{new}' where owner_id = ${user.id}`.execute(db)
    await sql`delete from documents_all where id = ${id} and title not like '%7'`.execute(db)
    await sql`insert into documents_all (owner_id, title) values (${user.id}, 'Late')`.execute(db)
  }
  t.equal(new Set(exported).size, exported.length)
  t.same(
    remaining.rows.filter(({ id }) => !exported.includes(id)),
    [],
    'no row is missing',
  )
})

t.test('a batch is read after the previous one is consumed, and none after the signal aborts', async t => {
  const user = await createUser()
  await write(user.id, 500)
  const cancellation = new AbortController()
  const rows = createExportRepository(db).documents(user.id, cancellation.signal)[Symbol.asyncIterator]()
  const take = async (count: number) => {
    for (let taken = 0; taken < count; taken++) await rows.next()
  }
  t.equal(await countStatements(() => take(50)), 1)
  t.equal(await countStatements(() => setImmediate()), 0)
  t.equal(await countStatements(() => take(51)), 2)
  cancellation.abort()
  t.equal(await countStatements(() => take(100)), 0)
  t.match(await rows.next(), { done: true })
})

t.test('administrators can export a deactivated user, but not an erased one', async t => {
  const user = await createUser()
  const token = tokenOf(user)
  const plan = await docs.create({ title: 'Plan' }, token)
  await callUnary(users, users.deleteMe, {}, { token })
  t.match(await exportUser(user.id), [
    { record: { $case: 'user' }, deletedAt: Date },
    { record: { $case: 'document', value: { id: plan.id } }, deletedAt: undefined },
  ])
  await t.rejects(exportMe(token), { code: Code.NOT_FOUND })
  await callUnary(admin, admin.eraseUser, { id: user.id }, { token: tokenOf(root) })
  await t.rejects(exportUser(user.id), { code: Code.FAILED_PRECONDITION, reason: 'account_erased' })
  await t.rejects(exportUser(crypto.randomUUID()), { code: Code.NOT_FOUND })
})

t.test('a server that stops fails the exports under way, which a client would otherwise take as complete', async t => {
  const stopping = await startUserSystem(t)
  const user = await stopping.createUser()
  await sql`
    insert into documents_all (owner_id, title, body)
    select ${user.id}::uuid, 'Plan ' || number, repeat('x', 4000) from generate_series(1, 5000) as number`.execute(
    stopping.database.db,
  )
  const { exports } = stopping
  const stream = callServerStream(exports, exports.exportMe, {}, { token: stopping.tokenOf(user) })
  await stream.next()
  const stopped = stopping.stop()
  await t.rejects(collect(stream), { code: Code.UNAVAILABLE })
  await stopped
})
