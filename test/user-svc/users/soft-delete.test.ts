import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { createUserRepository } from '../../../user-svc/users/user-repository.ts'
import { openUserDatabase } from '../user-system.ts'

const { db } = await openUserDatabase(t)

const newUser = (email = `${randomUUID()}@example.com`) => ({ id: randomUUID(), email, name: 'Ada' })
const insert = (user = newUser()) => db.insertInto('users').values(user).returningAll().executeTakeFirstOrThrow()
const rowOf = (id: string) => db.selectFrom('users_all').selectAll().where('id', '=', id).executeTakeFirst()

t.test('the view `users` supports INSERT, ON CONFLICT, UPDATE, FOR UPDATE and RETURNING', async t => {
  const user = await insert()
  t.match(user, { name: 'Ada', role: 'user', department: '', created_at: Date, updated_at: Date })

  const upserted = await db
    .insertInto('users')
    .values({ id: user.id, email: user.email, name: 'Bob' })
    .onConflict(conflict => conflict.column('id').doUpdateSet({ name: 'Countess' }))
    .returningAll()
    .executeTakeFirstOrThrow()
  t.match(upserted, { id: user.id, name: 'Countess' })

  await db.transaction().execute(async transaction => {
    await transaction.selectFrom('users').selectAll().where('id', '=', user.id).forUpdate().executeTakeFirstOrThrow()
    const updated = await transaction
      .updateTable('users')
      .set({ department: 'engines' })
      .where('id', '=', user.id)
      .returning(['name', 'department'])
      .executeTakeFirst()
    t.same(updated, { name: 'Countess', department: 'engines' })
  })
})

t.test('DELETE on the view keeps the row, which the view, UPDATE and a second DELETE do not find', async t => {
  const user = await insert()
  const deleted = await sql<{ id: string }>`delete from users where id = ${user.id} returning id`.execute(db)
  t.same(deleted.rows, [{ id: user.id }])

  t.match(await rowOf(user.id), { email: user.email, deleted_at: Date, deleted_by: null })
  t.same(await db.selectFrom('users').selectAll().where('id', '=', user.id).execute(), [])
  const { numUpdatedRows } = await db
    .updateTable('users')
    .set({ name: 'x' })
    .where('id', '=', user.id)
    .executeTakeFirstOrThrow()
  t.equal(numUpdatedRows, 0n)
  const again = await db.deleteFrom('users').where('id', '=', user.id).executeTakeFirstOrThrow()
  t.equal(again.numDeletedRows, 0n)
})

t.test('a deactivation records who deactivated the user', async t => {
  const user = await insert()
  const deactivatedBy = randomUUID()
  await db.transaction().execute(transaction => createUserRepository(transaction).deactivate(user.id, deactivatedBy))
  t.match(await rowOf(user.id), { deleted_by: deactivatedBy })
  const { rows } = await sql<{ actor: string }>`select current_setting('gatehouse.actor', true) as actor`.execute(db)
  t.notOk(rows[0]?.actor, 'the actor setting ends with the transaction')
})

t.test('of concurrent DELETEs of one user, exactly one affects the row', async t => {
  const user = await insert()
  const results = await Promise.all(
    Array.from({ length: 8 }, () => db.deleteFrom('users').where('id', '=', user.id).executeTakeFirstOrThrow()),
  )
  t.equal(
    results.reduce((sum, { numDeletedRows }) => sum + numDeletedRows, 0n),
    1n,
  )
})

t.test('an e-mail address is unique among active users and available after a deactivation', async t => {
  const first = await insert()
  await t.rejects(insert(newUser(first.email)), { code: '23505', constraint: 'users_email' })
  await db.deleteFrom('users').where('id', '=', first.id).execute()
  const second = await insert(newUser(first.email))
  t.equal(second.email, first.email)
})

t.test('updated_at changes with an update that changes a value, and with no other', async t => {
  const { id, updated_at: before } = await insert()
  const set = (name: string) =>
    db
      .updateTable('users')
      .set({ name })
      .where('id', '=', id)
      .returning(sql<string>`updated_at::text`.as('at'))
      .executeTakeFirstOrThrow()

  const changed = await set('Grace')
  t.ok(new Date(changed.at) >= before)
  t.equal((await set('Grace')).at, changed.at, 'an update to the same value is not a change')
  t.not((await set('Ada')).at, changed.at)
})

t.test('the triggers work in a session with another search_path', async t => {
  const { id } = await insert()
  await db.connection().execute(async connection => {
    await sql`set search_path = pg_catalog`.execute(connection)
    await sql`update users.users set role = 'editor' where id = ${id}`.execute(connection)
    await sql`delete from users.users where id = ${id}`.execute(connection)
    await sql`reset search_path`.execute(connection)
  })
  const changes = await db
    .selectFrom('account_changes')
    .select(['role', 'closed'])
    .where('user_id', '=', id)
    .orderBy('sequence')
    .execute()
  t.same(changes, [
    { role: 'editor', closed: false },
    { role: 'editor', closed: true },
  ])
})
