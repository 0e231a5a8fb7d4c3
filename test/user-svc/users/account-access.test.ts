import t from 'tap'
import type { User } from '#proto/user/v1/user.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { startUserSystem } from '../user-system.ts'

const { users, database, createUser, tokenOf } = await startUserSystem(t)
const refusal = { code: Code.FAILED_PRECONDITION, reason: 'last_administrator' }

const demote = (user: User, by = user) =>
  callUnary(users, users.updateUserAccess, { id: user.id, role: 'user' }, { token: tokenOf(by, 'admin') })
const closeOwn = (user: User) => callUnary(users, users.deleteMe, {}, { token: tokenOf(user) })
const closeBy = (user: User, by: User) =>
  callUnary(users, users.deleteUser, { id: user.id }, { token: tokenOf(by, 'admin') })

const administrators = () => database.db.selectFrom('users').select('id').where('role', '=', 'admin').execute()
/** Nobody is an administrator any more; the service has no such way, so this is written to the table. */
const dismissAll = () => database.db.updateTable('users').set({ role: 'user' }).where('role', '=', 'admin').execute()

t.beforeEach(dismissAll)

t.test('the last administrator can neither be demoted nor closed, but may change in other ways', async t => {
  const last = await createUser({ role: 'admin' })
  const former = await createUser({ role: 'admin' })
  await closeOwn(former)

  await t.rejects(demote(last), refusal)
  await t.rejects(closeOwn(last), refusal)
  await t.rejects(closeBy(last, last), refusal)
  const change = { id: last.id, role: 'admin', department: 'keys' }
  t.match(await callUnary(users, users.updateUserAccess, change, { token: tokenOf(last) }), change)
  t.same(await administrators(), [{ id: last.id }])
})

t.test('with a second administrator the first can go', async t => {
  const first = await createUser({ role: 'admin' })
  const second = await createUser({ role: 'admin' })
  t.match(await demote(first, second), { role: 'user' })
  await t.rejects(closeOwn(second), refusal)
})

const WAYS: Record<string, (user: User, next: User) => Promise<unknown>> = {
  'who demote each other': (user, next) => demote(next, user),
  'who close each other': (user, next) => closeBy(next, user),
  'who close their own accounts': user => closeOwn(user),
  'of whom each is demoted or closed': (user, next) => (user.id < next.id ? demote(next, user) : closeBy(next, user)),
}

for (const [way, act] of Object.entries(WAYS)) {
  t.test(`of administrators ${way} at the same time one stays`, async t => {
    for (let round = 0; round < 5; round++) {
      await dismissAll()
      const all = await Promise.all(Array.from({ length: 4 }, () => createUser({ role: 'admin' })))
      const answers = await Promise.allSettled(all.map((user, index) => act(user, all[(index + 1) % 4] ?? user)))
      t.equal((await administrators()).length, 1)
      const refused = answers.filter(answer => answer.status === 'rejected')
      t.equal(refused.length, 1)
      t.match(refused[0]?.reason, refusal)
    }
  })
}
