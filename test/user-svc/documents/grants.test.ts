import { randomUUID } from 'node:crypto'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { startUserSystem } from '../user-system.ts'
import { createDocumentClient } from './document-client.ts'

const system = await startUserSystem(t)
const { users, createUser, tokenOf } = system
const docs = createDocumentClient(system.docs)
const owner = await createUser()
const token = tokenOf(owner)
const NOT_FOUND = { code: Code.NOT_FOUND, reason: 'not_found' }

t.test('a grant opens a document, is changed in its place, and is taken back', async t => {
  const { id } = await docs.create({}, token)
  const user = await createUser()
  await t.rejects(docs.get(id, tokenOf(user)), NOT_FOUND)
  t.match(await docs.grant(id, user.id, 'read', token), {
    documentId: id,
    userId: user.id,
    access: 'read',
    grantedBy: owner.id,
  })
  t.match(await docs.get(id, tokenOf(user)), { id })
  await t.rejects(docs.update(id, { title: 'x' }, tokenOf(user)), { code: Code.PERMISSION_DENIED })
  t.match(await docs.grant(id, user.id, 'write', token), { access: 'write' })
  t.match(await docs.update(id, { title: 'x' }, tokenOf(user)), { title: 'x' })
  t.match((await docs.grants(id, {}, token)).grants, [{ userId: user.id, access: 'write' }])
  await docs.removeGrant(id, user.id, token)
  await t.rejects(docs.get(id, tokenOf(user)), NOT_FOUND)
  await t.rejects(docs.removeGrant(id, user.id, token), NOT_FOUND)
})

t.test('who was granted something may give it up, and give nothing on', async t => {
  const { id } = await docs.create({}, token)
  const [user, friend] = [await createUser(), await createUser()]
  await docs.grant(id, user.id, 'write', token)
  await t.rejects(docs.grant(id, friend.id, 'read', tokenOf(user)), { code: Code.PERMISSION_DENIED })
  await t.rejects(docs.grants(id, {}, tokenOf(user)), { code: Code.PERMISSION_DENIED })
  await docs.grant(id, friend.id, 'read', token)
  await t.rejects(docs.removeGrant(id, friend.id, tokenOf(user)), { code: Code.PERMISSION_DENIED })
  await docs.removeGrant(id, user.id.toUpperCase(), tokenOf(user))
  await t.rejects(docs.get(id, tokenOf(user)), NOT_FOUND)
})

t.test('a grant is for somebody who is there and is not the owner', async t => {
  const { id } = await docs.create({}, token)
  await t.rejects(docs.grant(id, owner.id, 'read', token), {
    code: Code.INVALID_ARGUMENT,
    violations: [{ field: 'userId' }],
  })
  await t.rejects(docs.grant(id, randomUUID(), 'read', token), NOT_FOUND)
  const closed = await createUser()
  await docs.grant(id, closed.id, 'read', token)
  await callUnary(users, users.deleteMe, {}, { token: tokenOf(closed) })
  await t.rejects(docs.grant(id, closed.id, 'write', token), NOT_FOUND)
  t.same((await docs.grants(id, {}, token)).grants, [])
})

t.test('pages of grants walk them all, in the order of the users’ ids', async t => {
  const { id } = await docs.create({}, token)
  const granted = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const user = await createUser()
      await docs.grant(id, user.id, 'read', token)
      return user.id
    }),
  )
  const met: string[] = []
  let pageToken = ''
  do {
    const page = await docs.grants(id, { pageSize: 2, pageToken }, token)
    met.push(...page.grants.map(({ userId }) => userId))
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  t.same(met, granted.sort())
})
