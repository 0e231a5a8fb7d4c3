/** Lists and batch reads use a constant number of SQL statements. */
import { sql } from 'kysely'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { countStatements } from '../support/statement-counter.ts'
import { createDocumentClient } from './documents/document-client.ts'
import { startUserSystem } from './user-system.ts'

const system = await startUserSystem(t)
const { users, createUser, tokenOf } = system
const { db } = system.database
const docs = createDocumentClient(system.docs)
const admin = await createUser({ role: 'admin' })
const token = tokenOf(admin)

/** Creates `count` users, each with a document, a comment on the first document and a grant on it. */
async function fill(count: number): Promise<{ documentId: string; ids: string[] }> {
  await sql`truncate documents_all cascade`.execute(db)
  await sql`delete from users_all where id <> ${admin.id}`.execute(db)
  const { rows } = await sql<{ id: string }>`
    insert into users_all (id, email, name)
    select gen_random_uuid(), 'user-' || n, 'User ' || n from generate_series(1, ${count}::int) n returning id`.execute(
    db,
  )
  const ids = rows.map(({ id }) => id)
  await sql`insert into documents_all (owner_id, title) select unnest(${ids}::uuid[]), 'x'`.execute(db)
  const documentId = (await db.selectFrom('documents').select('id').executeTakeFirstOrThrow()).id
  await sql`insert into comments_all (document_id, author_id, body) select ${documentId}, unnest(${ids}::uuid[]), 'x'`.execute(
    db,
  )
  await sql`insert into document_grants (document_id, user_id, access, granted_by)
    select ${documentId}, unnest(${ids}::uuid[]), 'read', ${admin.id}`.execute(db)
  return { documentId, ids }
}

const LISTS: Record<string, (rows: Awaited<ReturnType<typeof fill>>) => Promise<{ length: number }>> = {
  ListUsers: async () =>
    (await callUnary(users, users.listUsers, { pageSize: 200, pageToken: '' }, { token })).users.filter(
      ({ id }) => id !== admin.id,
    ),
  BatchGetUsers: async ({ ids }) => {
    const found = (await callUnary(users, users.batchGetUsers, { ids: ids.slice(0, 100) }, { token })).users
    return { length: found.length === 100 ? ids.length : found.length }
  },
  ListDocuments: async () => (await docs.list({ pageSize: 200 }, token)).documents,
  ListComments: async ({ documentId }) => (await docs.comments(documentId, { pageSize: 200 }, token)).comments,
  ListGrants: async ({ documentId }) => (await docs.grants(documentId, { pageSize: 200 }, token)).grants,
}

t.test('the number of statements does not grow with the number of rows', async t => {
  const counts = new Map<string, number[]>()
  for (const size of [1, 10, 200]) {
    const rows = await fill(size)
    for (const [name, list] of Object.entries(LISTS)) {
      const count = await countStatements(async () =>
        t.equal((await list(rows)).length, size, `${name} returns ${size} rows`),
      )
      counts.set(name, [...(counts.get(name) ?? []), count])
    }
  }
  for (const [name, [one = 0, ...more]] of counts) {
    t.comment(`${name}: ${one}`)
    t.ok(one > 0, `${name}: statements were counted`)
    t.same(more, [one, one], `${name}: same number for 1, 10 and 200 rows`)
  }
})

t.test('BatchGetUsers returns each user once, in the order of the request, and omits unknown ids', async t => {
  const { ids } = await fill(3)
  const requested = [ids[2], '00000000-0000-4000-8000-000000000000', ids[0], ids[2]].filter(id => id !== undefined)
  const { users: found } = await callUnary(users, users.batchGetUsers, { ids: requested }, { token })
  t.same(
    found.map(({ id }) => id),
    [ids[2], ids[0]],
  )
  t.match(found[0], { email: 'user-3' }, 'an administrator sees all fields')
  const asOtherUser = await callUnary(users, users.batchGetUsers, { ids: requested }, { token: tokenOf(admin, 'user') })
  t.match(asOtherUser.users[0], { email: '', name: 'User 3' }, 'another user sees public fields only')
})
