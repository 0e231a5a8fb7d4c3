import assert from 'node:assert/strict'
import fc from 'fast-check'
import { sql } from 'kysely'
import t from 'tap'
import { openDatabase } from '#runtime/postgres/database.ts'
import { Code } from '#runtime/status.ts'
import {
  createDocumentListRepository,
  DOCUMENT_SORTS,
  type DocumentSort,
} from '../../../user-svc/documents/document-list-repository.ts'
import { SCHEMA, type Tables } from '../../../user-svc/tables.ts'
import { plansOf } from '../../support/plans.ts'
import { assertProperty } from '../../support/property.ts'
import { openTestDatabase } from '../../support/test-database.ts'
import { logger, startUserSystem } from '../user-system.ts'
import { createDocumentClient } from './document-client.ts'

const system = await startUserSystem(t)
const { createUser, tokenOf } = system
const { db } = system.database
const docs = createDocumentClient(system.docs)

const ada = await createUser({ department: 'sales' })
const bob = await createUser({ department: 'sales' })
const token = tokenOf(ada)

interface Given {
  owner: 'ada' | 'bob'
  visibility: 'private' | 'department' | 'public'
  tags: string[]
  micros: number
  isGranted: boolean
}

const anyDocument: fc.Arbitrary<Given> = fc.record({
  owner: fc.constantFrom('ada', 'bob'),
  visibility: fc.constantFrom('private', 'department', 'public'),
  tags: fc.subarray(['red', 'green']),
  // Few distinct times, less than a millisecond apart: many are equal.
  micros: fc.integer({ min: 0, max: 4 }),
  isGranted: fc.boolean(),
})

interface Stored extends Given {
  id: string
}

async function fill(given: readonly Given[]): Promise<Stored[]> {
  await sql`truncate documents_all cascade`.execute(db)
  const stored: Stored[] = []
  for (const one of given) {
    const owner = one.owner === 'ada' ? ada : bob
    const at = sql`timestamptz '2026-01-01Z' + ${one.micros}::bigint * interval '1 microsecond'`
    const { rows } = await sql<{ id: string }>`
      insert into documents_all (owner_id, title, tags, visibility, department, created_at, updated_at)
      values (${owner.id}, 'x', ${one.tags}, ${one.visibility}, 'sales', ${at}, ${at}) returning id`.execute(db)
    const { id } = rows[0] as { id: string }
    if (one.isGranted && one.owner === 'bob')
      await sql`insert into document_grants values (${id}, ${ada.id}, 'read', ${bob.id})`.execute(db)
    stored.push({ ...one, id })
  }
  return stored
}

/** The documents that Ada, or an anonymous caller, may read. */
function readable(stored: readonly Stored[], isAda: boolean): Stored[] {
  return stored.filter(({ visibility, owner, isGranted }) =>
    isAda ? owner === 'ada' || visibility !== 'private' || isGranted : visibility === 'public',
  )
}

async function walk(given: Parameters<typeof docs.list>[0], as: string | undefined): Promise<string[]> {
  const ids: string[] = []
  let pageToken = ''
  do {
    const page = await docs.list({ ...given, pageToken }, as)
    assert.ok(
      page.documents.length === given.pageSize || page.nextPageToken === '',
      'only the last page may have fewer rows',
    )
    ids.push(...page.documents.map(({ id }) => id))
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  return ids
}

t.test('pages of any size return every readable document that matches once, in the requested order', async t => {
  await assertProperty(
    t,
    fc.asyncProperty(
      fc.array(anyDocument, { maxLength: 15, size: 'max' }),
      fc.integer({ min: 1, max: 16 }),
      fc.constantFrom(...(Object.keys(DOCUMENT_SORTS) as DocumentSort[])),
      fc.constantFrom(undefined, 'red'),
      fc.constantFrom(undefined, 'bob'),
      fc.boolean(),
      async (given, pageSize, sort, tag, owner, isAda) => {
        const stored = await fill(given)
        const sign = sort.startsWith('-') ? -1 : 1
        const expected = readable(stored, isAda)
          .filter(one => (tag === undefined || one.tags.includes(tag)) && (owner === undefined || one.owner === owner))
          .sort((a, b) => sign * (a.micros - b.micros || (a.id < b.id ? -1 : 1)))
          .map(({ id }) => id)
        const filter = { pageSize, sort, tag, owner: owner && bob.id }
        assert.deepEqual(await walk(filter, isAda ? token : undefined), expected)
      },
    ),
    { numRuns: 60 },
  )
})

t.test('an empty value of a filter is rejected', async t => {
  for (const name of ['owner', 'tag']) {
    const rejected = { code: Code.INVALID_ARGUMENT, violations: [{ field: name }] }
    await t.rejects(docs.list({ [name]: '' }, token), rejected, name)
  }
})

t.test('updatedSince includes documents updated at or after the given time', async t => {
  const [old, recent] = await fill([
    { owner: 'ada', visibility: 'private', tags: [], micros: 0, isGranted: false },
    { owner: 'ada', visibility: 'private', tags: [], micros: 2000, isGranted: false },
  ])
  const since = async (updatedSince: Date) =>
    (await docs.list({ updatedSince, sort: 'updatedAt' }, token)).documents.map(({ id }) => id)
  t.same(await since(new Date('2026-01-01T00:00:00.000Z')), [old?.id, recent?.id])
  t.same(await since(new Date('2026-01-01T00:00:00.001Z')), [recent?.id])
})

t.test('a page token is rejected with another filter, order or caller', async t => {
  await fill(
    Array.from({ length: 3 }, () => ({ owner: 'ada', visibility: 'public', tags: [], micros: 0, isGranted: false })),
  )
  const { nextPageToken: pageToken } = await docs.list({ pageSize: 1 }, token)
  await t.resolves(docs.list({ pageSize: 2, pageToken }, token), 'the page size may change between pages')
  for (const [given, as] of [
    [{ tag: 'red' }, token],
    [{ sort: 'updatedAt' }, token],
    [{ owner: ada.id }, token],
    [{}, tokenOf(bob)],
    [{}, undefined],
  ] as const)
    await t.rejects(docs.list({ ...given, pageSize: 1, pageToken }, as), {
      code: Code.INVALID_ARGUMENT,
      violations: [{ field: 'pageToken' }],
    })
})

t.test('a document summary has the name of the owner and no body', async t => {
  const { id } = await docs.create({ body: 'long', visibility: 'public' }, token)
  const [summary] = (await docs.list({ owner: ada.id, sort: '-createdAt', pageSize: 1 }, undefined)).documents
  t.match(summary, { id, ownerName: 'Ada', etag: String })
  t.notOk('body' in (summary ?? {}))
})

t.test('no access condition of a list scans all documents', async t => {
  const { userUrl: url } = await openTestDatabase(t)
  const { db, close } = openDatabase<Tables>({ url, schema: SCHEMA, logger, statementTimeoutMs: 60_000 })
  t.teardown(close)
  await sql`insert into users_all (id, email, department)
    select gen_random_uuid(), 'user-' || n, 'department-' || n % 20 from generate_series(1, 200) n`.execute(db)
  await sql`insert into documents_all (owner_id, title, visibility, department, tags)
    select (array(select id from users_all))[1 + n % 200], 'Plan', (array['private', 'department', 'public'])[1 + n % 3],
      'department-' || n % 20, array['tag-' || n % 500]
    from generate_series(1, 20000) n`.execute(db)
  await sql`insert into document_grants (document_id, user_id, access, granted_by)
    select documents_all.id, users_all.id, 'read', owner_id from documents_all, users_all
    where hashtext(documents_all.id::text || users_all.id::text) % 200 = 0`.execute(db)
  await sql`analyze`.execute(db)
  const { rows } = await sql<{ id: string }>`select id from users_all order by email limit 1`.execute(db)
  const user = { userId: rows[0]?.id ?? '', role: 'editor' } as const
  const noFilter = { owner: undefined, tag: undefined, updatedSince: undefined }

  for (const [list, filter, caller, indexes] of [
    ['no filter, user', noFilter, user, ['documents_public', 'documents_of_department', 'document_grants_of_user']],
    ['no filter, anonymous', noFilter, undefined, ['documents_public']],
    ['no filter, administrator', noFilter, { ...user, role: 'admin' }, ['documents_newest']],
    ['filter by owner', { ...noFilter, owner: user.userId }, user, ['documents_of_owner']],
    ['filter by tag', { ...noFilter, tag: 'tag-7' }, user, ['documents_tags']],
  ] as const)
    for (const sort of ['-updatedAt', 'createdAt'] as const) {
      const after = [sort === 'createdAt' ? '2020-01-01' : '2050-01-01', user.userId]
      const [plan = ''] = await plansOf<Tables>({ url, schema: SCHEMA }, db =>
        createDocumentListRepository(db).page(filter, sort, caller, 50, after),
      )
      t.notMatch(plan, /Seq Scan on documents_all/, `${list}, ${sort}: no sequential scan`)
      for (const index of indexes) t.match(plan, new RegExp(`${index}`), `${list}, ${sort}: uses ${index}`)
    }
})
