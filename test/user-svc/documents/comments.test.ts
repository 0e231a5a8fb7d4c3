import { randomUUID } from 'node:crypto'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { startUserSystem } from '../user-system.ts'
import { createDocumentClient } from './document-client.ts'

const system = await startUserSystem(t)
const { users, database, createUser, tokenOf } = system
const docs = createDocumentClient(system.docs)
const owner = await createUser()
const reader = await createUser({ name: 'Grace' })
const admin = tokenOf(await createUser({ role: 'admin' }))
const { id } = await docs.create({ visibility: 'public' }, tokenOf(owner))

const bodies = async (documentId = id) => (await docs.comments(documentId, {}, admin)).comments.map(({ body }) => body)
const NOT_FOUND = { code: Code.NOT_FOUND, reason: 'not_found' }

t.test('a comment says what it says, by whom, and how its author feels, if it was told', async t => {
  const { id } = await docs.create({ visibility: 'public' }, tokenOf(owner))
  const silent = await docs.comment(id, { body: 'Well\nwell' }, tokenOf(reader))
  t.match(silent, { documentId: id, authorId: reader.id, authorName: 'Grace', body: 'Well\nwell', createdAt: Date })
  t.equal(silent.sentiment, undefined)
  const cross = await docs.comment(id, { sentiment: -0.5 }, tokenOf(owner))
  t.equal(cross.sentiment, -0.5)
  t.same((await docs.comments(id, {}, undefined)).comments, [silent, cross], 'the oldest first, for anybody')
  for (const sentiment of [1.01, -2, Number.NaN])
    await t.rejects(docs.comment(id, { sentiment }, tokenOf(owner)), {
      code: Code.INVALID_ARGUMENT,
      violations: [{ field: 'sentiment' }],
    })
})

t.test('pages of comments walk them all', async t => {
  const { id } = await docs.create({}, tokenOf(owner))
  for (let n = 0; n < 5; n++) await docs.comment(id, { body: String(n) }, tokenOf(owner))
  const met: string[] = []
  let pageToken = ''
  do {
    const page = await docs.comments(id, { pageSize: 2, pageToken }, tokenOf(owner))
    met.push(...page.comments.map(({ body }) => body))
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  t.same(met, ['0', '1', '2', '3', '4'])
})

t.test('a comment is deleted by its author, and by nobody who only reads', async t => {
  const comment = await docs.comment(id, { body: 'mine' }, tokenOf(reader))
  await t.rejects(docs.removeComment(id, comment.id, tokenOf(await createUser())), { code: Code.PERMISSION_DENIED })
  const other = await docs.create({ visibility: 'public' }, tokenOf(owner))
  await t.rejects(docs.removeComment(other.id, comment.id, tokenOf(reader)), NOT_FOUND, 'of another document')
  await docs.removeComment(id, comment.id, tokenOf(reader))
  await t.rejects(docs.removeComment(id, comment.id, tokenOf(reader)), NOT_FOUND)
  const row = await database.db.selectFrom('comments_all').selectAll().where('id', '=', comment.id).executeTakeFirst()
  t.match(row, { deleted_at: Date, deleted_by: reader.id })
})

t.test('who cannot read a document neither comments on it nor reads its comments', async t => {
  const { id } = await docs.create({}, tokenOf(owner))
  for (const documentId of [id, randomUUID()]) {
    await t.rejects(docs.comment(documentId, {}, tokenOf(reader)), NOT_FOUND)
    await t.rejects(docs.comments(documentId, {}, tokenOf(reader)), NOT_FOUND)
    await t.rejects(docs.comments(documentId, {}, undefined), NOT_FOUND)
  }
})

t.test('comments go with their author and with their document, and come back with them', async t => {
  const author = await createUser()
  const document = await docs.create({ visibility: 'public' }, tokenOf(owner))
  await docs.comment(document.id, { body: 'by the author' }, tokenOf(author))
  await docs.comment(document.id, { body: 'by the owner' }, tokenOf(owner))
  const { db } = database
  const living = async () =>
    (await db.selectFrom('comments').select('body').where('document_id', '=', document.id).execute()).length

  await callUnary(users, users.deleteUser, { id: author.id }, { token: admin })
  t.same(await bodies(document.id), ['by the owner'])
  await db.updateTable('users_all').set({ deleted_at: null }).where('id', '=', author.id).execute()
  t.same(await bodies(document.id), ['by the author', 'by the owner'])

  await docs.remove(document.id, tokenOf(owner))
  t.equal(await living(), 0)
  await db.updateTable('documents_all').set({ deleted_at: null }).where('id', '=', document.id).execute()
  t.equal(await living(), 2)
})
