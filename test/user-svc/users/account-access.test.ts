import t from 'tap'
import type { User } from '#proto/user/v1/user.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { startUserSystem } from '../user-system.ts'

const { users, database, createUser, tokenOf } = await startUserSystem(t)
const REJECTED = { code: Code.FAILED_PRECONDITION, reason: 'last_administrator' }

const demote = (user: User, by = user) =>
  callUnary(users, users.updateUserAccess, { id: user.id, role: 'user' }, { token: tokenOf(by, 'admin') })
const deactivateSelf = (user: User) => callUnary(users, users.deleteMe, {}, { token: tokenOf(user) })
const deactivate = (user: User, by: User) =>
  callUnary(users, users.deleteUser, { id: user.id }, { token: tokenOf(by, 'admin') })

const administrators = () => database.db.selectFrom('users').select('id').where('role', '=', 'admin').execute()
/** Demotes all administrators directly in the table, because the service prevents it. */
const demoteAll = () => database.db.updateTable('users').set({ role: 'user' }).where('role', '=', 'admin').execute()

t.beforeEach(demoteAll)

t.test('the last administrator cannot be demoted or deactivated, but the department can change', async t => {
  const last = await createUser({ role: 'admin' })
  const former = await createUser({ role: 'admin' })
  await deactivateSelf(former)

  await t.rejects(demote(last), REJECTED)
  await t.rejects(deactivateSelf(last), REJECTED)
  await t.rejects(deactivate(last, last), REJECTED)
  const change = { id: last.id, role: 'admin', department: 'keys' }
  t.match(await callUnary(users, users.updateUserAccess, change, { token: tokenOf(last) }), change)
  t.same(await administrators(), [{ id: last.id }])
})

t.test('one of two administrators can be demoted', async t => {
  const first = await createUser({ role: 'admin' })
  const second = await createUser({ role: 'admin' })
  t.match(await demote(first, second), { role: 'user' })
  await t.rejects(deactivateSelf(second), REJECTED)
})

const RACES: Record<string, (user: User, next: User) => Promise<unknown>> = {
  'demote each other': (user, next) => demote(next, user),
  'deactivate each other': (user, next) => deactivate(next, user),
  'deactivate their own accounts': user => deactivateSelf(user),
  'demote or deactivate each other': (user, next) => (user.id < next.id ? demote(next, user) : deactivate(next, user)),
}

for (const [race, act] of Object.entries(RACES)) {
  t.test(`if four administrators ${race} concurrently, one remains`, async t => {
    for (let round = 0; round < 5; round++) {
      await demoteAll()
      const all = await Promise.all(Array.from({ length: 4 }, () => createUser({ role: 'admin' })))
      const results = await Promise.allSettled(all.map((user, index) => act(user, all[(index + 1) % 4] ?? user)))
      t.equal((await administrators()).length, 1)
      const rejected = results.filter(result => result.status === 'rejected')
      t.equal(rejected.length, 1)
      t.match(rejected[0]?.reason, REJECTED)
    }
  })
}
