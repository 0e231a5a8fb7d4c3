import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { callServerStream, callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { createDocumentClient } from '../documents/document-client.ts'
import { startUserSystem } from '../user-system.ts'

const system = await startUserSystem(t)
const { admin, accounts, createUser, tokenOf, mint } = system
const { db } = system.database
const docs = createDocumentClient(system.docs)
const root = await createUser({ role: 'admin', name: 'root' })
const token = tokenOf(root)

const erase = (id: string, as = token) => callUnary(admin, admin.eraseUser, { id }, { token: as, timeoutMs: 10_000 })
const receiptOf = (id: string) => callUnary(admin, admin.getErasure, { id }, { token })
const restore = (id: string) => callUnary(admin, admin.restoreUser, { id }, { token })
const confirm = (userId: string) =>
  callUnary(accounts, accounts.confirmErasure, { userId }, { token: mint.service(), timeoutMs: 10_000 })
const rowOf = (id: string) => db.selectFrom('users_all').selectAll().where('id', '=', id).executeTakeFirstOrThrow()

/** A user with two documents (one deleted), a comment, a grant to the user and a grant on a document of the user. */
async function createWriter() {
  const [writer, friend] = [await createUser({ name: 'Ada', department: 'sales' }), await createUser()]
  const [ada, grace] = [tokenOf(writer), tokenOf(friend)]
  const own = await docs.create({ title: 'Secret', body: 'Of mine', tags: ['x'], visibility: 'public' }, ada)
  const deleted = await docs.create({ title: 'Gone', body: 'Of mine', visibility: 'department' }, ada)
  await docs.remove(deleted.id, ada)
  await docs.grant(own.id, friend.id, 'read', ada)
  await docs.comment(own.id, { body: 'By a friend' }, grace)
  const others = await docs.create({ title: 'Plan' }, grace)
  await docs.grant(others.id, writer.id, 'read', grace)
  await docs.comment(others.id, { body: 'My opinion', sentiment: 0.5 }, ada)
  return { writer, friend, own, others }
}

t.test('an erasure removes personal data from all rows and returns a receipt with the numbers of rows', async t => {
  const { writer, own, others } = await createWriter()
  const receipt = await erase(writer.id)
  t.match(receipt, { userId: writer.id, requestedBy: root.id, documents: 2, comments: 1, grants: 2, erasedAt: Date })
  t.same([receipt.identityErasedAt, receipt.purgedAt], [undefined, undefined])

  t.match(await rowOf(writer.id), { name: '', department: '', email: `${writer.id}@erased.invalid`, deleted_at: Date })
  const documents = await db.selectFrom('documents_all').selectAll().where('owner_id', '=', writer.id).execute()
  t.equal(documents.length, 2)
  for (const { title, body, tags, department, search, words } of documents)
    t.same([title, body, tags, department, search, words], ['', '', [], '', '', ''])
  const comments = await db.selectFrom('comments_all').selectAll().where('author_id', '=', writer.id).execute()
  t.match(comments, [{ body: '', sentiment: null }])
  t.same(
    await db
      .selectFrom('document_grants')
      .selectAll()
      .where(row => row.or([row('user_id', '=', writer.id), row('document_id', '=', own.id)]))
      .execute(),
    [],
  )
  await t.rejects(docs.get(own.id, token), { code: Code.NOT_FOUND })
  t.same((await docs.comments(others.id, {}, token)).comments, [])
})

t.test('repeated and concurrent erasures return the same receipt and write one account change', async t => {
  const { writer } = await createWriter()
  const receipts = await Promise.all(Array.from({ length: 8 }, () => erase(writer.id)))
  for (const receipt of [...receipts, await erase(writer.id), await receiptOf(writer.id)]) t.same(receipt, receipts[0])
  t.match(
    await db
      .selectFrom('account_changes')
      .selectAll()
      .where('user_id', '=', writer.id)
      .where('erased', '=', true)
      .execute(),
    [{ closed: true }],
  )
})

t.test('the outbox has the erasure, and the first confirmation of auth-svc completes the receipt', async t => {
  const { writer } = await createWriter()
  await erase(writer.id)
  for await (const change of callServerStream(
    accounts,
    accounts.watchAccountChanges,
    { afterSequence: 0n },
    { token: mint.service() },
  )) {
    if (change.userId === writer.id && change.erased) break
  }
  await confirm(writer.id)
  const { identityErasedAt } = await receiptOf(writer.id)
  t.match(identityErasedAt, Date)
  await confirm(writer.id)
  t.same((await receiptOf(writer.id)).identityErasedAt, identityErasedAt)
  await t.rejects(confirm(randomUUID()), { code: Code.NOT_FOUND })
  await t.rejects(callUnary(accounts, accounts.confirmErasure, { userId: writer.id }, { token }), {
    code: Code.PERMISSION_DENIED,
  })
})

t.test('the confirmation clears content that an in-flight request wrote after the erasure', async t => {
  const { writer } = await createWriter()
  await erase(writer.id)
  await db.insertInto('documents').values({ owner_id: writer.id, title: 'Late' }).execute()
  await confirm(writer.id)
  const late = db.selectFrom('documents_all').select('id').where('owner_id', '=', writer.id).where('title', '<>', '')
  t.same(await late.execute(), [])
})

t.test('the erasure of a deactivated user keeps time and actor of the deactivation', async t => {
  const writer = await createUser()
  await callUnary(system.users, system.users.deleteMe, {}, { token: tokenOf(writer) })
  const { deleted_at, deleted_by } = await rowOf(writer.id)
  await erase(writer.id)
  t.match(await rowOf(writer.id), { deleted_at, deleted_by, name: '' })
})

t.test('the e-mail address of an erased user is available, and no path restores the account', async t => {
  const writer = await createUser()
  await erase(writer.id)
  t.equal((await createUser({ email: writer.email })).email, writer.email)
  await t.rejects(restore(writer.id), { code: Code.FAILED_PRECONDITION, reason: 'account_erased' })
  await t.rejects(sql`update users_all set deleted_at = null where id = ${writer.id}`.execute(db), {
    code: '23514',
    constraint: 'users_erased_stay_closed',
  })
  await t.rejects(callUnary(accounts, accounts.createAccount, { ...writer, role: '' }, { token: mint.service() }), {
    code: Code.FAILED_PRECONDITION,
    reason: 'account_closed',
  })
})

t.test('the last administrator cannot be erased, even if two administrators erase each other concurrently', async t => {
  await t.rejects(erase(root.id), { code: Code.FAILED_PRECONDITION, reason: 'last_administrator' })
  await t.rejects(receiptOf(root.id), { code: Code.NOT_FOUND }, 'no receipt is written')
  const other = await createUser({ role: 'admin' })
  const results = await Promise.allSettled([erase(root.id, tokenOf(other)), erase(other.id)])
  t.match(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  t.equal((await db.selectFrom('users').select('id').where('role', '=', 'admin').execute()).length, 1)
})

t.test('EraseUser returns NOT_FOUND for an unknown user, and PERMISSION_DENIED to non-administrators', async t => {
  const survivor = await db.selectFrom('users').selectAll().where('role', '=', 'admin').executeTakeFirstOrThrow()
  await t.rejects(erase(randomUUID(), tokenOf(survivor)), { code: Code.NOT_FOUND })
  const user = await createUser()
  await t.rejects(erase(user.id, tokenOf(user)), { code: Code.PERMISSION_DENIED })
})
