import { sql } from 'kysely'
import t from 'tap'
import { GetUserTreeRequest } from '#proto/admin/v1/admin.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { countStatements } from '../../support/statement-counter.ts'
import { createDocumentClient } from '../documents/document-client.ts'
import { startUserSystem } from '../user-system.ts'

const system = await startUserSystem(t)
const { admin, createUser, tokenOf } = system
const { db } = system.database
const docs = createDocumentClient(system.docs)
const root = await createUser({ role: 'admin' })
const token = tokenOf(root)
const tree = (given: Partial<GetUserTreeRequest> = {}) =>
  callUnary(admin, admin.getUserTree, GetUserTreeRequest.create(given), { token })

t.test('GetUserTree returns the latest documents of each user and the latest comments on each document', async t => {
  const [ada, grace] = [await createUser(), await createUser()]
  const made = []
  for (const title of ['one', 'two', 'three'])
    made.push(await docs.create({ title, tags: ['x', 'a,b'.slice(0, 1)] }, tokenOf(ada)))
  const [, two, three] = made
  const comments = []
  for (const body of ['first', 'ä'.repeat(150), 'third'])
    comments.push(await docs.comment(three?.id ?? '', { body, sentiment: 0.25 }, tokenOf(root)))
  await docs.remove(made[0]?.id ?? '', tokenOf(ada))

  const { users } = await tree({ documents: 2, comments: 2 })
  t.same(
    users.map(({ user }) => user?.id),
    [grace.id, ada.id, root.id],
  )
  t.same(users[0]?.documents, [])
  const [document, other] = users[1]?.documents ?? []
  t.match(document, {
    id: three?.id,
    title: 'three',
    tags: ['x', 'a'],
    visibility: 'private',
    updatedAt: three?.updatedAt,
  })
  t.match(other, { id: two?.id, comments: [] })
  t.same(document?.comments, [
    { id: comments[2]?.id, authorId: root.id, excerpt: 'third', sentiment: 0.25, createdAt: comments[2]?.createdAt },
    {
      id: comments[1]?.id,
      authorId: root.id,
      excerpt: 'ä'.repeat(100),
      sentiment: 0.25,
      createdAt: comments[1]?.createdAt,
    },
  ])
})

t.test('GetUserTree is one SQL statement, independent of the number of rows', async t => {
  for (const size of [1, 10, 200]) {
    await sql`truncate documents_all cascade`.execute(db)
    await sql`delete from users_all where id <> ${root.id}`.execute(db)
    await sql`insert into users_all (id, email) select gen_random_uuid(), n::text from generate_series(1, ${size}::int) n`.execute(
      db,
    )
    await sql`insert into documents_all (owner_id, title) select id, 'x' from users_all`.execute(db)
    await sql`insert into comments_all (document_id, author_id, body) select id, owner_id, 'x' from documents_all`.execute(
      db,
    )
    t.equal(await countStatements(() => tree({ pageSize: 100 })), 1, `${size} users`)
  }
})

t.test('pages of GetUserTree return every user once', async t => {
  const listed = []
  let pageToken = ''
  do {
    const page = await tree({ pageSize: 90, pageToken })
    listed.push(...page.users.map(({ user }) => user?.id))
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  t.equal(listed.length, 201)
  t.equal(new Set(listed).size, 201)
})
