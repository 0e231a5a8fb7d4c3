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

t.test('a comment has body, author and optional sentiment', async t => {
  const { id } = await docs.create({ visibility: 'public' }, tokenOf(owner))
  const withoutSentiment = await docs.comment(id, { body: 'Well\nwell' }, tokenOf(reader))
  t.match(withoutSentiment, {
    documentId: id,
    authorId: reader.id,
    authorName: 'Grace',
    body: 'Well\nwell',
    createdAt: Date,
  })
  t.equal(withoutSentiment.sentiment, undefined)
  const withSentiment = await docs.comment(id, { sentiment: -0.5 }, tokenOf(owner))
  t.equal(withSentiment.sentiment, -0.5)
  t.same(
    (await docs.comments(id, {}, undefined)).comments,
    [withoutSentiment, withSentiment],
    'oldest first, for anonymous callers too',
  )
  for (const sentiment of [1.01, -2, Number.NaN])
    await t.rejects(docs.comment(id, { sentiment }, tokenOf(owner)), {
      code: Code.INVALID_ARGUMENT,
      violations: [{ field: 'sentiment' }],
    })
})

t.test('pages of comments return all comments in order', async t => {
  const { id } = await docs.create({}, tokenOf(owner))
  for (let n = 0; n < 5; n++) await docs.comment(id, { body: String(n) }, tokenOf(owner))
  const listed: string[] = []
  let pageToken = ''
  do {
    const page = await docs.comments(id, { pageSize: 2, pageToken }, tokenOf(owner))
    listed.push(...page.comments.map(({ body }) => body))
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  t.same(listed, ['0', '1', '2', '3', '4'])
})

t.test('the author of a comment may delete it, other readers may not', async t => {
  const comment = await docs.comment(id, { body: 'mine' }, tokenOf(reader))
  await t.rejects(docs.removeComment(id, comment.id, tokenOf(await createUser())), { code: Code.PERMISSION_DENIED })
  const other = await docs.create({ visibility: 'public' }, tokenOf(owner))
  await t.rejects(
    docs.removeComment(other.id, comment.id, tokenOf(reader)),
    NOT_FOUND,
    'the comment belongs to another document',
  )
  await docs.removeComment(id, comment.id, tokenOf(reader))
  await t.rejects(docs.removeComment(id, comment.id, tokenOf(reader)), NOT_FOUND)
  const row = await database.db.selectFrom('comments_all').selectAll().where('id', '=', comment.id).executeTakeFirst()
  t.match(row, { deleted_at: Date, deleted_by: reader.id })
})

t.test('comments of an unreadable document cannot be listed or created', async t => {
  const { id } = await docs.create({}, tokenOf(owner))
  for (const documentId of [id, randomUUID()]) {
    await t.rejects(docs.comment(documentId, {}, tokenOf(reader)), NOT_FOUND)
    await t.rejects(docs.comments(documentId, {}, tokenOf(reader)), NOT_FOUND)
    await t.rejects(docs.comments(documentId, {}, undefined), NOT_FOUND)
  }
})

t.test('comments are hidden while their author is deactivated or their document is deleted', async t => {
  const author = await createUser()
  const document = await docs.create({ visibility: 'public' }, tokenOf(owner))
  await docs.comment(document.id, { body: 'by the author' }, tokenOf(author))
  await docs.comment(document.id, { body: 'by the owner' }, tokenOf(owner))
  const { db } = database
  const visibleCount = async () =>
    (await db.selectFrom('comments').select('body').where('document_id', '=', document.id).execute()).length

  await callUnary(users, users.deleteUser, { id: author.id }, { token: admin })
  t.same(await bodies(document.id), ['by the owner'])
  await db.updateTable('users_all').set({ deleted_at: null }).where('id', '=', author.id).execute()
  t.same(await bodies(document.id), ['by the author', 'by the owner'])

  await docs.remove(document.id, tokenOf(owner))
  t.equal(await visibleCount(), 0)
  await db.updateTable('documents_all').set({ deleted_at: null }).where('id', '=', document.id).execute()
  t.equal(await visibleCount(), 2)
})
