import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { CreateDocumentRequest, DocumentChanges, UpdateDocumentRequest } from '#proto/docs/v1/docs.ts'
import { Code } from '#runtime/status.ts'
import { startUserSystem } from '../user-system.ts'
import { createDocumentClient } from './document-client.ts'

const system = await startUserSystem(t)
const { database, createUser, tokenOf } = system
const docs = createDocumentClient(system.docs)
const owner = await createUser({ department: 'sales' })
const token = tokenOf(owner)
const admin = tokenOf(await createUser({ role: 'admin' }))

const NOT_FOUND = { code: Code.NOT_FOUND, reason: 'not_found' }
const FORBIDDEN = { code: Code.PERMISSION_DENIED, reason: 'permission_denied' }
const invalid = (field: string) => ({ code: Code.INVALID_ARGUMENT, violations: [{ field }] })

const create = (given: Partial<CreateDocumentRequest> = {}, as = token) => docs.create(given, as)
const get = (id: string, as = token) => docs.get(id, as)
const update = (
  id: string,
  changes: Partial<DocumentChanges>,
  rest: Partial<Pick<UpdateDocumentRequest, 'updateMask' | 'ifMatch'>> = {},
  as = token,
) => docs.update(id, changes, as, rest)
const remove = (id: string, as = token, ifMatch: string[] = []) => docs.remove(id, as, ifMatch)

t.test('a document is private and of the owner’s department unless it says otherwise', async t => {
  const document = await create({ title: 'Plan', body: 'first\nsecond', tags: ['b', 'a', 'b'] })
  t.match(document, {
    ownerId: owner.id,
    title: 'Plan',
    body: 'first\nsecond',
    tags: ['b', 'a'],
    visibility: 'private',
    department: 'sales',
    etag: String,
  })
  t.same(await get(document.id), document)
  await t.rejects(docs.get(document.id, undefined), NOT_FOUND, 'nobody else finds it')
  t.match(
    await docs.get((await create({ visibility: 'public' })).id, undefined),
    { visibility: 'public' },
    'a public one does anybody',
  )
})

t.test('only administrators name a department that is not theirs, and one for a department names it', async t => {
  await t.rejects(create({ department: 'law' }), invalid('department'))
  const nobodys = tokenOf(await createUser())
  await t.rejects(docs.create({ title: 'x', visibility: 'department' }, nobodys), invalid('department'))
  const request = { title: 'x', visibility: 'department', department: 'law' }
  t.match(await docs.create(request, admin), request)
  const { id } = await create()
  await t.rejects(update(id, { department: 'law' }), invalid('document.department'))
  t.match(await update(id, { department: 'law' }, {}, admin), { department: 'law' })
  t.match(await update(id, { department: 'law', title: 'the rest as it was' }), { department: 'law' })
  await t.rejects(
    update(id, { visibility: 'department', department: '' }, { updateMask: ['visibility', 'department'] }),
    {
      ...invalid('document.department'),
    },
  )
})

t.test('an update changes what the mask names, and empties what is named and not given', async t => {
  const before = await create({ body: 'text', tags: ['a'] })
  const after = await update(before.id, { title: 'Plan B', body: 'ignored' }, { updateMask: ['title', 'tags'] })
  t.match(after, { title: 'Plan B', body: 'text', tags: [] })
  t.not(after.etag, before.etag)
  t.ok((after.updatedAt ?? 0) > (before.updatedAt ?? 0))
  t.match(await update(before.id, { body: 'new' }), { title: 'Plan B', body: 'new' }, 'without a mask what is set')
  t.match(await update(before.id, { title: 'C', visibility: 'public' }, { updateMask: ['*'] }), {
    title: 'C',
    body: '',
    tags: [],
    visibility: 'public',
    department: '',
  })
})

t.test('an update that changes nothing leaves the etag as it is', async t => {
  const document = await create({ body: 'text' })
  t.same(await update(document.id, { body: 'text' }), document)
  t.same(await update(document.id, {}, { updateMask: [] }), document)
})

t.test('a mask with a path that is no field, and an emptied title, are refused by name', async t => {
  const { id } = await create()
  await t.rejects(update(id, {}, { updateMask: ['title', 'ownerId', 'etag'] }), {
    code: Code.INVALID_ARGUMENT,
    violations: [
      { field: 'updateMask', description: /path ownerId;/ },
      { field: 'updateMask', description: /path etag;/ },
    ],
  })
  await t.rejects(update(id, {}, { updateMask: ['*', 'title'] }), invalid('updateMask'))
  await t.rejects(update(id, {}, { updateMask: ['title'] }), invalid('document.title'))
  await t.rejects(update(id, {}, { updateMask: ['visibility'] }), invalid('document.visibility'))
})

t.test('with If-Match a change is made to the version that the client has seen, or not at all', async t => {
  const { id, etag } = await create()
  const changed = await update(id, { title: 'B' }, { ifMatch: ['0', etag] })
  const MISMATCH = { code: Code.ABORTED, reason: 'etag_mismatch' }
  for (const ifMatch of [[etag], ['nonsense'], ['-1'], ['99999999999999']]) {
    await t.rejects(update(id, { title: 'C' }, { ifMatch }), MISMATCH)
    await t.rejects(remove(id, token, ifMatch), MISMATCH)
  }
  t.match(await update(id, { title: 'D' }, { ifMatch: ['*'] }), { title: 'D' })
  await t.rejects(remove(id, token, [changed.etag]), MISMATCH)
  await remove(id, token, [(await get(id)).etag])
  await t.rejects(update(id, { title: 'E' }, { ifMatch: ['*'] }), NOT_FOUND)
})

t.test('of many who change the same version at once, one does', async t => {
  const { id, etag } = await create()
  const answers = await Promise.allSettled(
    Array.from({ length: 12 }, (_, index) => update(id, { title: `by ${index}` }, { ifMatch: [etag] })),
  )
  const won = answers.filter(answer => answer.status === 'fulfilled')
  t.equal(won.length, 1)
  t.same(await get(id), won[0]?.value)
  for (const answer of answers)
    if (answer.status === 'rejected') t.match(answer.reason, { code: Code.ABORTED, reason: 'etag_mismatch' })
})

t.test('a change and a deletion of the same version do not both happen', async t => {
  for (let round = 0; round < 10; round++) {
    const { id, etag } = await create()
    const [changed, removed] = await Promise.allSettled([
      update(id, { title: 'B' }, { ifMatch: [etag] }),
      remove(id, token, [etag]),
    ])
    t.not(changed.status, removed.status)
  }
})

t.test('a deleted document is found by nobody, and who deleted it is known', async t => {
  const { id } = await create({ visibility: 'public' })
  await remove(id, admin)
  for (const call of [() => get(id), () => get(id, admin), () => update(id, { title: 'x' }), () => remove(id)])
    await t.rejects(call(), NOT_FOUND)
  const row = await database.db.selectFrom('documents_all').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
  t.type(row.deleted_at, Date)
  t.not(row.deleted_by, owner.id)
})

t.test('who may read but not change is told so; who may not read is told that there is none', async t => {
  const stranger = tokenOf(await createUser())
  const open = await create({ visibility: 'public' })
  const closed = await create()
  await t.rejects(update(open.id, { title: 'x' }, {}, stranger), FORBIDDEN)
  await t.rejects(remove(open.id, stranger), FORBIDDEN)
  for (const id of [closed.id, randomUUID()]) {
    await t.rejects(update(id, { title: 'x' }, {}, stranger), NOT_FOUND)
    await t.rejects(remove(id, stranger), NOT_FOUND)
    await t.rejects(get(id, stranger), NOT_FOUND)
  }
})

t.test('who may write may not say who reads', async t => {
  const { id } = await create()
  const writer = await createUser()
  await docs.grant(id, writer.id, 'write', token)
  t.match(await update(id, { title: 'by the writer' }, {}, tokenOf(writer)), { title: 'by the writer' })
  await t.rejects(update(id, { visibility: 'public' }, {}, tokenOf(writer)), FORBIDDEN)
  await t.rejects(remove(id, tokenOf(writer)), FORBIDDEN)
})

t.test('a user’s documents are counted with every change', async t => {
  const user = await createUser()
  const as = tokenOf(user)
  const count = async () => {
    const row = await database.db.selectFrom('users').select('doc_count').where('id', '=', user.id).executeTakeFirst()
    return row?.doc_count
  }
  const made = await Promise.all(Array.from({ length: 5 }, () => docs.create({ title: 'x' }, as)))
  t.equal(await count(), 5)
  for (const { id } of made.slice(0, 2)) await remove(id, as)
  t.equal(await count(), 3)
})
