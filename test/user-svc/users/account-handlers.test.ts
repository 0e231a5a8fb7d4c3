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

t.test('a sign-up makes a user, the first administrator an administrator', async t => {
  const account = newAccount()
  const user = await create({ ...account, name: 'Ada' })
  t.match(user, { ...account, name: 'Ada', role: 'user', department: '', createdAt: Date, updatedAt: Date })
  t.same(await get(account.id), user)
  t.match(await create({ ...newAccount(), role: 'admin' }), { role: 'admin' })
})

t.test('the same id again answers the user that is there, as it is by now', async t => {
  const account = newAccount()
  await create({ ...account, name: 'Ada' })
  await database.db.updateTable('users').set({ name: 'Grace', role: 'editor' }).where('id', '=', account.id).execute()
  t.match(await create({ ...account, name: 'Ada' }), { ...account, name: 'Grace', role: 'editor' })
})

t.test('the same sign-up many times at once makes one user, and answers it to all', async t => {
  const account = newAccount()
  const answers = await Promise.all(Array.from({ length: 20 }, () => create(account)))
  for (const answer of answers) t.same(answer, answers[0])
})

t.test('an e-mail address under another id is taken, also when both come at once', async t => {
  const { email } = newAccount()
  const answers = await Promise.allSettled(Array.from({ length: 10 }, () => create({ id: randomUUID(), email })))
  t.equal(answers.filter(answer => answer.status === 'fulfilled').length, 1)
  for (const answer of answers) {
    if (answer.status === 'rejected') t.match(answer.reason, { code: Code.ALREADY_EXISTS, reason: 'email_taken' })
  }
})

t.test('the address of a closed account can sign up again, its id cannot', async t => {
  const closed = await createUser()
  await callUnary(users, users.deleteMe, {}, { token: tokenOf(closed) })
  await t.rejects(get(closed.id), { code: Code.NOT_FOUND })
  await t.rejects(create(closed), { code: Code.FAILED_PRECONDITION, reason: 'account_closed' })

  const successor = await create({ id: randomUUID(), email: closed.email })
  t.equal(successor.email, closed.email)
  await t.rejects(create(closed), { code: Code.FAILED_PRECONDITION, reason: 'account_closed' })
})

t.test('what breaks a rule is refused by the name of its field', async t => {
  await t.rejects(create({ id: 'x', email: '', name: 'x'.repeat(201), role: 'moderator' }), {
    code: Code.INVALID_ARGUMENT,
    violations: ['id', 'email', 'name', 'role'].map(field => ({ field })),
  })
})
