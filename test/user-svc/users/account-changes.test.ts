import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import type { AccountChange } from '#proto/user/v1/account.ts'
import { callServerStream, callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { startUserSystem } from '../user-system.ts'

const system = await startUserSystem(t, { poolSize: 20 })
const { users, accounts, database, mint, createUser, tokenOf } = system
const { db } = database
const admin = await createUser({ role: 'admin' })

const watch = (afterSequence: bigint, signal?: AbortSignal) =>
  callServerStream(accounts, accounts.watchAccountChanges, { afterSequence }, { token: mint.service(), signal })
const setRole = (id: string, role: string) =>
  callUnary(users, users.updateUserAccess, { id, role }, { token: tokenOf(admin) })
const close = (id: string) => callUnary(users, users.deleteUser, { id }, { token: tokenOf(admin) })

async function lastSequence(): Promise<bigint> {
  const { last } = await db
    .selectFrom('account_changes')
    .select(({ fn }) => fn.max('sequence').as('last'))
    .executeTakeFirstOrThrow()
  return last ?? 0n
}

async function take(count: number, from: bigint): Promise<AccountChange[]> {
  const taken: AccountChange[] = []
  for await (const change of watch(from)) {
    taken.push(change)
    if (taken.length === count) break
  }
  return taken
}

t.test('role changes and closures are told, those before the watch and those after', async t => {
  const from = await lastSequence()
  const [one, two] = [await createUser(), await createUser()]
  await setRole(one.id, 'editor')
  await setRole(one.id, 'editor')
  const changes = take(3, from)
  await callUnary(users, users.updateUserAccess, { id: one.id, department: 'x' }, { token: tokenOf(admin) })
  await callUnary(users, users.updateMe, { name: 'x' }, { token: tokenOf(two) })
  await callUnary(users, users.deleteMe, {}, { token: tokenOf(two) })
  await close(one.id)
  t.match(await changes, [
    { userId: one.id, role: 'editor', closed: false, changedAt: Date },
    { userId: two.id, role: 'user', closed: true },
    { userId: one.id, role: 'editor', closed: true },
  ])
})

t.test('a watch goes on after the sequence that it is given', async t => {
  const from = await lastSequence()
  const user = await createUser()
  await setRole(user.id, 'editor')
  await setRole(user.id, 'moderator')
  const [first, second] = await take(2, from)
  t.same(await take(1, first?.sequence ?? 0n), [second])
})

t.test('a change is told with its transaction, not before it, and none is told out of order', async t => {
  const from = await lastSequence()
  const [slow, fast] = [await createUser(), await createUser()]
  const transaction = await db.startTransaction().execute()
  await transaction.updateTable('users').set({ role: 'editor' }).where('id', '=', slow.id).execute()
  const overtaking = setRole(fast.id, 'moderator')
  await waitingForLock()

  t.equal(await lastSequence(), from, 'the second writer waits for the first')
  await transaction.commit().execute()
  await overtaking
  t.match(await take(2, from), [{ userId: slow.id }, { userId: fast.id }])
})

t.test('a change that is rolled back is not told', async t => {
  const from = await lastSequence()
  const [undone, done] = [await createUser(), await createUser()]
  const transaction = await db.startTransaction().execute()
  await transaction.deleteFrom('users').where('id', '=', undone.id).execute()
  await transaction.rollback().execute()
  await setRole(done.id, 'editor')
  t.match(await take(1, from), [{ userId: done.id }])
})

t.test('a watch misses nothing and repeats nothing while many write', async t => {
  const from = await lastSequence()
  const crowd = await Promise.all(Array.from({ length: 40 }, () => createUser()))
  const watched = take(crowd.length * 2, from)
  await Promise.all(
    crowd.map(async ({ id }, index) => {
      await setRole(id, 'editor')
      await (index % 2 === 0 ? close(id) : setRole(id, 'moderator'))
    }),
  )
  const changes = await watched
  const sequences = changes.map(change => change.sequence)
  t.same(
    sequences,
    [...sequences].sort((a, b) => Number(a - b)),
  )
  for (const [index, { id }] of crowd.entries()) {
    const expected =
      index % 2 === 0
        ? [
            { role: 'editor', closed: false },
            { role: 'editor', closed: true },
          ]
        : [
            { role: 'editor', closed: false },
            { role: 'moderator', closed: false },
          ]
    const told = changes.filter(change => change.userId === id).map(({ role, closed }) => ({ role, closed }))
    t.same(told, expected)
  }
})

t.test('a writer that waits for its turn has locked no row yet, so two of them cannot deadlock', async t => {
  const [first, second] = [await createUser(), await createUser()]
  const transaction = await db.startTransaction().execute()
  await transaction.updateTable('users').set({ role: 'editor' }).where('id', '=', first.id).execute()
  const ids = [first.id, second.id]
  const waiting = db.updateTable('users').set({ role: 'moderator' }).where('id', 'in', ids).execute()
  await waitingForLock()

  await transaction.updateTable('users').set({ role: 'editor' }).where('id', '=', second.id).execute()
  await transaction.commit().execute()
  t.match(await waiting, [{ numUpdatedRows: 2n }])
})

t.test('more changes than one look takes arrive complete', async t => {
  const from = await lastSequence()
  const count = 1234
  await sql`
    insert into account_changes (user_id, role, closed)
    select ${randomUUID()}::uuid, 'user', false from generate_series(1, ${count}::int)`.execute(db)
  t.equal((await take(count, from)).length, count)
})

t.test('a watch ends without an error when the server stops, and a client that left holds nothing up', async t => {
  const from = await lastSequence()
  const user = await createUser()
  await setRole(user.id, 'editor')

  const leave = new AbortController()
  const leaving = watch(from, leave.signal)
  t.match(await leaving.next(), { value: { userId: user.id } })
  const staying = watch(from)
  t.match(await staying.next(), { value: { userId: user.id } })

  leave.abort()
  await t.rejects(leaving.next(), { code: Code.CANCELLED }, 'as the client itself wished')
  const end = staying.next()
  await system.stop()
  t.match(await end, { done: true })
})

/** Until somebody waits for the lock of the outbox. */
async function waitingForLock(): Promise<void> {
  for (;;) {
    const { rows } = await sql`
      select 1 from pg_locks join pg_database on pg_database.oid = database
      where locktype = 'advisory' and not granted and datname = current_database()`.execute(db)
    if (rows.length > 0) return
  }
}
