import { randomUUID } from 'node:crypto'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { startUserSystem } from '../user-system.ts'

const { users, accounts, database, mint, createUser, tokenOf } = await startUserSystem(t)
const token = mint.service()

const create = (account: { id: string; email: string; name?: string; role?: string }) =>
  callUnary(accounts, accounts.createAccount, { name: '', role: '', ...account }, { token })
const get = (id: string) => callUnary(accounts, accounts.getAccount, { id }, { token })
const newAccount = () => ({ id: randomUUID(), email: `${randomUUID()}@example.com` })

t.test('CreateAccount creates a user with the given role, by default "user"', async t => {
  const account = newAccount()
  const user = await create({ ...account, name: 'Ada' })
  t.match(user, { ...account, name: 'Ada', role: 'user', department: '', createdAt: Date, updatedAt: Date })
  t.same(await get(account.id), user)
  t.match(await create({ ...newAccount(), role: 'admin' }), { role: 'admin' })
})

t.test('CreateAccount with an existing id returns the current state of the user', async t => {
  const account = newAccount()
  await create({ ...account, name: 'Ada' })
  await database.db.updateTable('users').set({ name: 'Grace', role: 'editor' }).where('id', '=', account.id).execute()
  t.match(await create({ ...account, name: 'Ada' }), { ...account, name: 'Grace', role: 'editor' })
})

t.test('concurrent CreateAccount calls with one id create one user and all return it', async t => {
  const account = newAccount()
  const results = await Promise.all(Array.from({ length: 20 }, () => create(account)))
  for (const result of results) t.same(result, results[0])
})

t.test('concurrent CreateAccount calls with one e-mail address and different ids create one user', async t => {
  const { email } = newAccount()
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => create({ id: randomUUID(), email })))
  t.equal(results.filter(result => result.status === 'fulfilled').length, 1)
  for (const result of results) {
    if (result.status === 'rejected') t.match(result.reason, { code: Code.ALREADY_EXISTS, reason: 'email_taken' })
  }
})

t.test('the e-mail address of a deactivated user is available, the id is not', async t => {
  const deactivated = await createUser()
  await callUnary(users, users.deleteMe, {}, { token: tokenOf(deactivated) })
  await t.rejects(get(deactivated.id), { code: Code.NOT_FOUND })
  await t.rejects(create(deactivated), { code: Code.FAILED_PRECONDITION, reason: 'account_closed' })

  const successor = await create({ id: randomUUID(), email: deactivated.email })
  t.equal(successor.email, deactivated.email)
  await t.rejects(create(deactivated), { code: Code.FAILED_PRECONDITION, reason: 'account_closed' })
})

t.test('CreateAccount rejects invalid fields by name', async t => {
  await t.rejects(create({ id: 'x', email: '', name: 'x'.repeat(201), role: 'moderator' }), {
    code: Code.INVALID_ARGUMENT,
    violations: ['id', 'email', 'name', 'role'].map(field => ({ field })),
  })
})
