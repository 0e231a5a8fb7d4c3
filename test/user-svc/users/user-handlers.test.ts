import { randomUUID } from 'node:crypto'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { startUserSystem } from '../user-system.ts'

const system = await startUserSystem(t)
const { users, database, createUser, tokenOf } = system
const admin = await createUser({ role: 'admin' })
const adminToken = tokenOf(admin)

const getMe = (token: string) => callUnary(users, users.getMe, {}, { token })
const getUser = (id: string, token: string) => callUnary(users, users.getUser, { id }, { token })
const deleteUser = (id: string) => callUnary(users, users.deleteUser, { id }, { token: adminToken })

t.test('a user can read, rename and deactivate their own account', async t => {
  const user = await createUser({ name: 'Ada' })
  const token = tokenOf(user)
  t.same(await getMe(token), user)

  const renamed = await callUnary(users, users.updateMe, { name: 'Grace' }, { token })
  t.match(renamed, { id: user.id, name: 'Grace', email: user.email, role: 'user', createdAt: user.createdAt })
  t.same(await getMe(token), renamed)

  await callUnary(users, users.deleteMe, {}, { token })
  for (const call of [
    () => getMe(token),
    () => callUnary(users, users.updateMe, { name: 'x' }, { token }),
    () => callUnary(users, users.updateMe, {}, { token }),
    () => callUnary(users, users.deleteMe, {}, { token }),
    () => getUser(user.id, adminToken),
  ]) {
    await t.rejects(call(), { code: Code.NOT_FOUND, reason: 'not_found' })
  }
})

t.test('UpdateMe changes only the given fields, and can clear the name', async t => {
  const token = tokenOf(await createUser({ name: 'Ada' }))
  const before = await getMe(token)
  t.same(await callUnary(users, users.updateMe, {}, { token }), before)
  t.match(await callUnary(users, users.updateMe, { name: '' }, { token }), { name: '' })
})

t.test('GetMe with a token of an unknown user returns NOT_FOUND', async t => {
  const token = system.mint.access({ sub: randomUUID(), role: 'admin' })
  await t.rejects(getMe(token), { code: Code.NOT_FOUND })
})

t.test(
  'GetUser returns public fields to other users, and all fields to the user, moderators and administrators',
  async t => {
    const user = await createUser({ name: 'Ada' })
    const other = await createUser()
    for (const role of ['user', 'editor'] as const) {
      t.same(await getUser(user.id, tokenOf(other, role)), {
        id: user.id,
        name: 'Ada',
        email: '',
        role: '',
        department: '',
        createdAt: user.createdAt,
        updatedAt: undefined,
      })
    }
    for (const token of [tokenOf(user), tokenOf(other, 'moderator'), tokenOf(other, 'admin')]) {
      t.same(await getUser(user.id, token), user)
    }
    t.same(await getUser(user.id.toUpperCase(), tokenOf(user)), user, 'ids are case-insensitive')
  },
)

t.test('reading, deactivating or changing an unknown user returns NOT_FOUND', async t => {
  const id = randomUUID()
  const request = { id, role: 'editor' }
  await t.rejects(getUser(id, adminToken), { code: Code.NOT_FOUND })
  await t.rejects(deleteUser(id), { code: Code.NOT_FOUND })
  await t.rejects(callUnary(users, users.updateUserAccess, request, { token: adminToken }), { code: Code.NOT_FOUND })
})

t.test('an administrator deactivates a user; a second attempt returns NOT_FOUND', async t => {
  const user = await createUser()
  await deleteUser(user.id)
  const row = await database.db.selectFrom('users_all').selectAll().where('id', '=', user.id).executeTakeFirst()
  t.match(row, { deleted_at: Date, deleted_by: admin.id })
  await t.rejects(deleteUser(user.id), { code: Code.NOT_FOUND })
})

t.test(
  'UpdateUserAccess changes role and department separately or together, and nothing if neither is given',
  async t => {
    const user = await createUser()
    const change = (changes: { role?: string; department?: string }) =>
      callUnary(users, users.updateUserAccess, { id: user.id, ...changes }, { token: adminToken })

    t.same(await change({}), user)
    t.match(await change({ department: 'engines' }), { role: 'user', department: 'engines' })
    t.match(await change({ role: 'editor' }), { role: 'editor', department: 'engines' })
    t.match(await change({ role: 'moderator', department: '' }), { role: 'moderator', department: '' })
  },
)

t.test('invalid fields are rejected by name', async t => {
  const token = adminToken
  const id = randomUUID()
  const cases: [string, () => Promise<unknown>, string[]][] = [
    ['a long name', () => callUnary(users, users.updateMe, { name: 'x'.repeat(201) }, { token }), ['name']],
    ['a NUL', () => callUnary(users, users.updateMe, { name: 'a\u0000b' }, { token }), ['name']],
    ['an id that is not a UUID', () => getUser('me', token), ['id']],
    ['an empty id', () => callUnary(users, users.deleteUser, { id: '' }, { token }), ['id']],
    [
      'an unknown role and a long department',
      () => callUnary(users, users.updateUserAccess, { id, role: 'root', department: 'x'.repeat(101) }, { token }),
      ['role', 'department'],
    ],
    [
      'a page size above the maximum',
      () => callUnary(users, users.listUsers, { pageSize: 201, pageToken: '' }, { token }),
      ['pageSize'],
    ],
    [
      'a forged page token',
      () => callUnary(users, users.listUsers, { pageSize: 0, pageToken: 'x' }, { token }),
      ['pageToken'],
    ],
  ]
  for (const [name, call, fields] of cases) {
    const violations = fields.map(field => ({ field, description: String }))
    await t.rejects(call(), { code: Code.INVALID_ARGUMENT, reason: 'invalid_argument', violations }, name)
  }
})

t.test('a name may have 200 characters of four bytes each', async t => {
  const token = tokenOf(await createUser())
  const name = '🜁'.repeat(200)
  t.match(await callUnary(users, users.updateMe, { name }, { token }), { name })
})
