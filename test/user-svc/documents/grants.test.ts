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

t.test('a grant gives access to a document, can be replaced, and can be deleted', async t => {
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

t.test('a user with a grant may delete their own grant, but not share the document', async t => {
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

t.test('a grant requires an active user other than the owner', async t => {
  const { id } = await docs.create({}, token)
  await t.rejects(docs.grant(id, owner.id, 'read', token), {
    code: Code.INVALID_ARGUMENT,
    violations: [{ field: 'userId' }],
  })
  await t.rejects(docs.grant(id, randomUUID(), 'read', token), NOT_FOUND)
  const deactivated = await createUser()
  await docs.grant(id, deactivated.id, 'read', token)
  await callUnary(users, users.deleteMe, {}, { token: tokenOf(deactivated) })
  await t.rejects(docs.grant(id, deactivated.id, 'write', token), NOT_FOUND)
  t.same((await docs.grants(id, {}, token)).grants, [])
})

t.test('pages of grants return all grants, ordered by user id', async t => {
  const { id } = await docs.create({}, token)
  const granted = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const user = await createUser()
      await docs.grant(id, user.id, 'read', token)
      return user.id
    }),
  )
  const listed: string[] = []
  let pageToken = ''
  do {
    const page = await docs.grants(id, { pageSize: 2, pageToken }, token)
    listed.push(...page.grants.map(({ userId }) => userId))
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  t.same(listed, granted.sort())
})
