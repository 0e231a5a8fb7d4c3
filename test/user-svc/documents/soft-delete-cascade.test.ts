/** Soft deletion of documents and comments, and their visibility while a user is deactivated, tested in SQL. */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { openUserDatabase } from '../user-system.ts'

const { db } = await openUserDatabase(t)

async function createUser(): Promise<string> {
  const id = randomUUID()
  await db
    .insertInto('users')
    .values({ id, email: `${id}@example.com` })
    .execute()
  return id
}

const createDocument = async (owner: string, title = 'Plan') =>
  (await db.insertInto('documents').values({ owner_id: owner, title }).returning('id').executeTakeFirstOrThrow()).id
const createComment = async (documentId: string, author: string) =>
  (
    await sql<{ id: string }>`
      insert into comments (document_id, author_id, body) values (${documentId}, ${author}, 'Well') returning id`.execute(
      db,
    )
  ).rows[0]?.id ?? ''
const deactivate = (id: string) => sql`delete from users where id = ${id}`.execute(db)
const restore = (id: string) => sql`update users_all set deleted_at = null where id = ${id}`.execute(db)

/** Those of the ids that the views contain. */
async function visible(...ids: string[]): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from documents where id = any(${ids}::uuid[]) union all
    select id from comments where id = any(${ids}::uuid[])`.execute(db)
  return ids.filter(id => rows.some(row => row.id === id))
}

t.test('the view `documents` supports INSERT, ON CONFLICT, UPDATE, FOR UPDATE and RETURNING', async t => {
  const owner = await createUser()
  const id = await createDocument(owner)
  const upserted = await sql<{ title: string; version: number }>`
    insert into documents (id, owner_id, title) values (${id}, ${owner}, 'Other')
    on conflict (id) do update set title = excluded.title returning title, version`.execute(db)
  t.same(upserted.rows, [{ title: 'Other', version: 2 }])
  await db.transaction().execute(async transaction => {
    const locked = await sql`select from documents where id = ${id} for update`.execute(transaction)
    t.equal(locked.rows.length, 1)
    const waiting = sql`select from documents_all where id = ${id} for update nowait`.execute(db)
    await t.rejects(waiting, { code: '55P03' }, 'the row of the base table is locked')
    const updated = await sql<{ title: string }>`
      update documents set title = 'Third' where id = ${id} returning title`.execute(transaction)
    t.same(updated.rows, [{ title: 'Third' }])
  })
})

t.test('DELETE on a view keeps the row, which SELECT, UPDATE, FOR UPDATE and a second DELETE do not find', async t => {
  const owner = await createUser()
  const id = await createDocument(owner)
  const comment = await createComment(id, owner)
  for (const [view, one] of [
    ['comments', comment],
    ['documents', id],
  ] as const) {
    const table = sql.table(view)
    const deleted = await sql`delete from ${table} where id = ${one} returning id`.execute(db)
    t.same(deleted.rows, [{ id: one }])
    t.same((await sql`delete from ${table} where id = ${one} returning id`.execute(db)).rows, [])
    t.same((await sql`update ${table} set body = 'x' where id = ${one} returning id`.execute(db)).rows, [])
    t.same((await sql`select from ${table} where id = ${one} for update`.execute(db)).rows, [])
    const kept = await sql`select deleted_at from ${sql.table(`${view}_all`)} where id = ${one}`.execute(db)
    t.match(kept.rows, [{ deleted_at: Date }])
  }
})

t.test('documents and comments of a deactivated user are hidden, and visible again after a restoration', async t => {
  const [ada, grace] = [await createUser(), await createUser()]
  const [own, theirs] = [await createDocument(ada), await createDocument(grace)]
  const all = [
    own,
    theirs,
    await createComment(own, ada),
    await createComment(own, grace),
    await createComment(theirs, ada),
    await createComment(theirs, grace),
  ]
  t.same(await visible(...all), all)
  await deactivate(ada)
  t.same(await visible(...all), [theirs, all[5]], 'her documents, all comments on them, and her comments are hidden')
  await restore(ada)
  t.same(await visible(...all), all)
})

t.test('documents and comments deleted before a deactivation stay deleted after a restoration', async t => {
  const ada = await createUser()
  const [kept, deleted] = [await createDocument(ada), await createDocument(ada)]
  const [keptComment, deletedComment] = [await createComment(kept, ada), await createComment(kept, ada)]
  await sql`delete from documents where id = ${deleted}`.execute(db)
  await sql`delete from comments where id = ${deletedComment}`.execute(db)
  await deactivate(ada)
  await restore(ada)
  t.same(await visible(kept, deleted, keptComment, deletedComment), [kept, keptComment])
})

t.test('a comment is hidden while its author or the owner of its document is deactivated', async t => {
  const [ada, grace] = [await createUser(), await createUser()]
  const comment = await createComment(await createDocument(ada), grace)
  await deactivate(ada)
  await deactivate(grace)
  await restore(ada)
  t.same(await visible(comment), [])
  await restore(grace)
  t.same(await visible(comment), [comment])
})

t.test('UPDATE and DELETE on the views do not affect rows of a deactivated user', async t => {
  const ada = await createUser()
  const id = await createDocument(ada)
  const comment = await createComment(id, ada)
  await deactivate(ada)
  t.same((await sql`update documents set title = 'x' where id = ${id} returning id`.execute(db)).rows, [])
  t.same((await sql`delete from documents where id = ${id} returning id`.execute(db)).rows, [])
  t.same((await sql`delete from comments where id = ${comment} returning id`.execute(db)).rows, [])
  await restore(ada)
  t.same(await visible(id, comment), [id, comment])
})

t.test('a user cannot be restored while another active user has the e-mail address', async t => {
  const ada = await createUser()
  await deactivate(ada)
  const successor = randomUUID()
  await db
    .insertInto('users')
    .values({ id: successor, email: `${ada}@example.com` })
    .execute()
  await t.rejects(restore(ada), { code: '23505', constraint: 'users_email' })
  await deactivate(successor)
  await restore(ada)
  await t.rejects(restore(successor), { code: '23505', constraint: 'users_email' })
})
