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
const deactivate = (id: string) => callUnary(users, users.deleteUser, { id }, { token: tokenOf(admin) })

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

t.test('the stream of account changes has role changes and deactivations from before and after its start', async t => {
  const from = await lastSequence()
  const [one, two] = [await createUser(), await createUser()]
  await setRole(one.id, 'editor')
  await setRole(one.id, 'editor')
  const changes = take(3, from)
  await callUnary(users, users.updateUserAccess, { id: one.id, department: 'x' }, { token: tokenOf(admin) })
  await callUnary(users, users.updateMe, { name: 'x' }, { token: tokenOf(two) })
  await callUnary(users, users.deleteMe, {}, { token: tokenOf(two) })
  await deactivate(one.id)
  t.match(await changes, [
    { userId: one.id, role: 'editor', closed: false, changedAt: Date },
    { userId: two.id, role: 'user', closed: true },
    { userId: one.id, role: 'editor', closed: true },
  ])
})

t.test('a stream of account changes resumes after the given sequence', async t => {
  const from = await lastSequence()
  const user = await createUser()
  await setRole(user.id, 'editor')
  await setRole(user.id, 'moderator')
  const [first, second] = await take(2, from)
  t.same(await take(1, first?.sequence ?? 0n), [second])
})

t.test('a change appears in the stream when its transaction commits, in commit order', async t => {
  const from = await lastSequence()
  const [slow, fast] = [await createUser(), await createUser()]
  const transaction = await db.startTransaction().execute()
  await transaction.updateTable('users').set({ role: 'editor' }).where('id', '=', slow.id).execute()
  const overtaking = setRole(fast.id, 'moderator')
  await lockWaiter()

  t.equal(await lastSequence(), from, 'the second writer waits for the first')
  await transaction.commit().execute()
  await overtaking
  t.match(await take(2, from), [{ userId: slow.id }, { userId: fast.id }])
})

t.test('a rolled-back change does not appear in the stream', async t => {
  const from = await lastSequence()
  const [undone, done] = [await createUser(), await createUser()]
  const transaction = await db.startTransaction().execute()
  await transaction.deleteFrom('users').where('id', '=', undone.id).execute()
  await transaction.rollback().execute()
  await setRole(done.id, 'editor')
  t.match(await take(1, from), [{ userId: done.id }])
})

t.test('a stream during concurrent writes has every change once', async t => {
  const from = await lastSequence()
  const crowd = await Promise.all(Array.from({ length: 40 }, () => createUser()))
  const watched = take(crowd.length * 2, from)
  await Promise.all(
    crowd.map(async ({ id }, index) => {
      await setRole(id, 'editor')
      await (index % 2 === 0 ? deactivate(id) : setRole(id, 'moderator'))
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
    const received = changes.filter(change => change.userId === id).map(({ role, closed }) => ({ role, closed }))
    t.same(received, expected)
  }
})

t.test('a writer that waits for the outbox lock holds no row lock, so that two writers cannot deadlock', async t => {
  const [first, second] = [await createUser(), await createUser()]
  const transaction = await db.startTransaction().execute()
  await transaction.updateTable('users').set({ role: 'editor' }).where('id', '=', first.id).execute()
  const ids = [first.id, second.id]
  const waiting = db.updateTable('users').set({ role: 'moderator' }).where('id', 'in', ids).execute()
  await lockWaiter()

  await transaction.updateTable('users').set({ role: 'editor' }).where('id', '=', second.id).execute()
  await transaction.commit().execute()
  t.match(await waiting, [{ numUpdatedRows: 2n }])
})

t.test('changes in excess of one batch arrive completely', async t => {
  const from = await lastSequence()
  const count = 1234
  await sql`
    insert into account_changes (user_id, role, closed)
    select ${randomUUID()}::uuid, 'user', false from generate_series(1, ${count}::int)`.execute(db)
  t.equal((await take(count, from)).length, count)
})

t.test(
  'a stream ends with UNAVAILABLE when the server stops, and a cancelled stream does not delay the stop',
  async t => {
    const from = await lastSequence()
    const user = await createUser()
    await setRole(user.id, 'editor')

    const cancellation = new AbortController()
    const cancelled = watch(from, cancellation.signal)
    t.match(await cancelled.next(), { value: { userId: user.id } })
    const remaining = watch(from)
    t.match(await remaining.next(), { value: { userId: user.id } })

    cancellation.abort()
    await t.rejects(cancelled.next(), { code: Code.CANCELLED }, 'cancelled by the client')
    const ended = t.rejects(remaining.next(), { code: Code.UNAVAILABLE })
    await system.stop()
    await ended
  },
)

/** Resolves when a session waits for the lock of the outbox. */
async function lockWaiter(): Promise<void> {
  for (;;) {
    const { rows } = await sql`
      select 1 from pg_locks join pg_database on pg_database.oid = database
      where locktype = 'advisory' and not granted and datname = current_database()`.execute(db)
    if (rows.length > 0) return
  }
}
