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

t.test('a new document is private and belongs to the department of its owner by default', async t => {
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
  await t.rejects(docs.get(document.id, undefined), NOT_FOUND, 'anonymous callers do not find a private document')
  t.match(
    await docs.get((await create({ visibility: 'public' })).id, undefined),
    { visibility: 'public' },
    'anonymous callers find a public document',
  )
})

t.test('only administrators assign another department, and visibility "department" requires a department', async t => {
  await t.rejects(create({ department: 'law' }), invalid('department'))
  const withoutDepartment = tokenOf(await createUser())
  await t.rejects(docs.create({ title: 'x', visibility: 'department' }, withoutDepartment), invalid('department'))
  const request = { title: 'x', visibility: 'department', department: 'law' }
  t.match(await docs.create(request, admin), request)
  const { id } = await create()
  await t.rejects(update(id, { department: 'law' }), invalid('document.department'))
  t.match(await update(id, { department: 'law' }, {}, admin), { department: 'law' })
  t.match(await update(id, { department: 'law', title: 'New title' }), { department: 'law' })
  await t.rejects(
    update(id, { visibility: 'department', department: '' }, { updateMask: ['visibility', 'department'] }),
    {
      ...invalid('document.department'),
    },
  )
})

t.test('UpdateDocument changes the fields of the mask and clears those that are not given', async t => {
  const before = await create({ body: 'text', tags: ['a'] })
  const after = await update(before.id, { title: 'Plan B', body: 'ignored' }, { updateMask: ['title', 'tags'] })
  t.match(after, { title: 'Plan B', body: 'text', tags: [] })
  t.not(after.etag, before.etag)
  t.ok((after.updatedAt ?? 0) > (before.updatedAt ?? 0))
  t.match(
    await update(before.id, { body: 'new' }),
    { title: 'Plan B', body: 'new' },
    'without a mask, the fields that are set change',
  )
  t.match(await update(before.id, { title: 'C', visibility: 'public' }, { updateMask: ['*'] }), {
    title: 'C',
    body: '',
    tags: [],
    visibility: 'public',
    department: '',
  })
})

t.test('an update without changes keeps the etag', async t => {
  const document = await create({ body: 'text' })
  t.same(await update(document.id, { body: 'text' }), document)
  t.same(await update(document.id, {}, { updateMask: [] }), document)
})

t.test('an unknown mask path and an empty title are rejected by name', async t => {
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

t.test('with If-Match, a document changes only if its etag matches', async t => {
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

t.test('of concurrent updates with the same If-Match, exactly one succeeds', async t => {
  const { id, etag } = await create()
  const results = await Promise.allSettled(
    Array.from({ length: 12 }, (_, index) => update(id, { title: `by ${index}` }, { ifMatch: [etag] })),
  )
  const succeeded = results.filter(result => result.status === 'fulfilled')
  t.equal(succeeded.length, 1)
  t.same(await get(id), succeeded[0]?.value)
  for (const result of results)
    if (result.status === 'rejected') t.match(result.reason, { code: Code.ABORTED, reason: 'etag_mismatch' })
})

t.test('of a concurrent update and deletion with the same If-Match, exactly one succeeds', async t => {
  for (let round = 0; round < 10; round++) {
    const { id, etag } = await create()
    const [changed, removed] = await Promise.allSettled([
      update(id, { title: 'B' }, { ifMatch: [etag] }),
      remove(id, token, [etag]),
    ])
    t.not(changed.status, removed.status)
  }
})

t.test('a deleted document is not found by any caller, and its row records the deletion', async t => {
  const { id } = await create({ visibility: 'public' })
  await remove(id, admin)
  for (const call of [() => get(id), () => get(id, admin), () => update(id, { title: 'x' }), () => remove(id)])
    await t.rejects(call(), NOT_FOUND)
  const row = await database.db.selectFrom('documents_all').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
  t.type(row.deleted_at, Date)
  t.not(row.deleted_by, owner.id)
})

t.test('a forbidden action returns PERMISSION_DENIED on a readable document and NOT_FOUND on any other', async t => {
  const other = tokenOf(await createUser())
  const readable = await create({ visibility: 'public' })
  const unreadable = await create()
  await t.rejects(update(readable.id, { title: 'x' }, {}, other), FORBIDDEN)
  await t.rejects(remove(readable.id, other), FORBIDDEN)
  for (const id of [unreadable.id, randomUUID()]) {
    await t.rejects(update(id, { title: 'x' }, {}, other), NOT_FOUND)
    await t.rejects(remove(id, other), NOT_FOUND)
    await t.rejects(get(id, other), NOT_FOUND)
  }
})

t.test('a write grant does not permit sharing or deletion', async t => {
  const { id } = await create()
  const writer = await createUser()
  await docs.grant(id, writer.id, 'write', token)
  t.match(await update(id, { title: 'by the writer' }, {}, tokenOf(writer)), { title: 'by the writer' })
  await t.rejects(update(id, { visibility: 'public' }, {}, tokenOf(writer)), FORBIDDEN)
  await t.rejects(remove(id, tokenOf(writer)), FORBIDDEN)
})

t.test('doc_count of a user follows creations and deletions', async t => {
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
