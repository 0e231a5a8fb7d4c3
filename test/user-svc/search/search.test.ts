import assert from 'node:assert/strict'
import fc from 'fast-check'
import { sql } from 'kysely'
import t from 'tap'
import { type Piece, SearchRequest } from '#proto/search/v1/search.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { openDatabase } from '#runtime/postgres/database.ts'
import { Code } from '#runtime/status.ts'
import { parseSearchQuery } from '../../../user-svc/search/search-query.ts'
import { createSearchRepository } from '../../../user-svc/search/search-repository.ts'
import { SCHEMA, type Tables } from '../../../user-svc/tables.ts'
import { plansOf } from '../../support/plans.ts'
import { countStatements } from '../../support/statement-counter.ts'
import { openTestDatabase } from '../../support/test-database.ts'
import { createDocumentClient } from '../documents/document-client.ts'
import { logger, startUserSystem } from '../user-system.ts'

const system = await startUserSystem(t)
const { createUser, tokenOf } = system
const { db } = system.database
const docs = createDocumentClient(system.docs)
const ada = await createUser({ department: 'sales' })
const token = tokenOf(ada)

const search = (given: Partial<SearchRequest>, as?: string) =>
  callUnary(system.search, system.search.search, SearchRequest.create(given), as === undefined ? {} : { token: as })
const textOf = (pieces: readonly Piece[]) => pieces.map(({ text }) => text).join('')
const titles = async (q: string, as?: string) =>
  (await search({ q }, as)).results.map(({ title }) => textOf(title)).sort()
const empty = () => sql`truncate documents_all cascade`.execute(db)

t.test('all words must be there, in any order and form, in title or body', async t => {
  await empty()
  await docs.create({ title: 'Running a mill', body: 'The miller grinds wheat', visibility: 'public' }, token)
  await docs.create({ title: 'Wheat', body: 'A run of mills', visibility: 'public' }, token)
  await docs.create({ title: 'Windmills', body: 'no wheat', visibility: 'public' }, token)
  t.same(await titles('mill run'), ['Running a mill', 'Wheat'])
  t.same(await titles('WHEAT'), ['Running a mill', 'Wheat', 'Windmills'])
  t.same(await titles('wind*'), ['Windmills'])
  t.same(await titles('"grinds wheat"'), ['Running a mill'])
  t.same(await titles('"wheat grinds"'), [])
  t.same(await titles('wheat -run'), ['Windmills'])
  t.same(await titles('wheat -wind*'), ['Running a mill', 'Wheat'])
  t.same(await titles('the of'), [], 'stop words look for nothing')
  t.same(
    await titles('the wheat -of'),
    ['Running a mill', 'Wheat', 'Windmills'],
    'and beside others they are passed over',
  )
})

t.test('a prefix is of the word as it is written as well as of its stem', async t => {
  await empty()
  await docs.create({ title: 'Theories of running', visibility: 'public' }, token)
  for (const q of ['the*', 'theories*', 'theo*', 'running*', 'run*'])
    t.same(await titles(q), ['Theories of running'], q)
  t.same(await titles('runs* -theory*'), [])
})

t.test('a match in the title is before one in the body, and before nothing else is it cut off', async t => {
  await empty()
  await docs.create({ title: 'Bread', body: 'made of wheat', visibility: 'public' }, token)
  await docs.create({ title: 'Wheat', body: 'for bread', visibility: 'public' }, token)
  const { results } = await search({ q: 'wheat' })
  t.same(
    results.map(({ title }) => textOf(title)),
    ['Wheat', 'Bread'],
  )
  t.ok((results[0]?.rank ?? 0) > (results[1]?.rank ?? 0))
})

t.test('tags narrow a search, and are one by themselves', async t => {
  await empty()
  await docs.create({ title: 'One wheat', tags: ['red', 'dark blue'], visibility: 'public' }, token)
  await docs.create({ title: 'Two wheat', tags: ['red'], visibility: 'public' }, token)
  t.same(await titles('tag:red'), ['One wheat', 'Two wheat'])
  t.same(await titles('wheat tag:"dark blue" tag:red'), ['One wheat'])
  t.same(await titles('wheat -tag:"dark blue"'), ['Two wheat'])
  t.same(await titles('tag:red -one'), ['Two wheat'])
  t.same(await titles('tag:red the'), ['One wheat', 'Two wheat'])
  t.same(await titles('tag:red -the'), ['One wheat', 'Two wheat'])
})

t.test('a search that only leaves out is refused, and any other text is answered', async t => {
  for (const q of ['-wheat', '-tag:red', '""', '*'])
    await t.rejects(search({ q }), { code: Code.INVALID_ARGUMENT, violations: [{ field: 'q' }] }, q)
  for (const q of ["'", '\\', "a' | b:*", '!!x & (y', "it's*", '\\*', "x'':*", '<->', '<b>*', 'a\\*'])
    await t.resolves(search({ q }), q)
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 30, size: 'max' }), async text => {
      const q = `wheat ${text.replace(/\p{Cc}/gv, '')}`
      await search({ q })
    }),
    { numRuns: 60 },
  )
})

t.test('what matched is marked, and the rest is as it was written, whatever that is', async t => {
  await empty()
  await docs.create(
    {
      title: 'Of <b>wheat</b> & "wheat"',
      body: `${'other words '.repeat(100)}about <i>wheat</i>\u0001 & bread`,
      visibility: 'public',
    },
    token,
  )
  const { results } = await search({ q: 'wheat' })
  t.same(results[0]?.title, [
    { text: 'Of <b>', isMatch: false },
    { text: 'wheat', isMatch: true },
    { text: '</b> & "', isMatch: false },
    { text: 'wheat', isMatch: true },
    { text: '"', isMatch: false },
  ])
  const excerpt = results[0]?.excerpt ?? []
  t.match(textOf(excerpt), /words about <i>wheat<\/i> & bread$/)
  t.same(
    excerpt.filter(({ isMatch }) => isMatch),
    [{ text: 'wheat', isMatch: true }],
  )
})

t.test('a body that is long is looked through for an excerpt up to a bound, and for a match to its end', async t => {
  await empty()
  const body = `Once upon a time. ${'other words '.repeat(2000)}`
  await docs.create({ title: 'Deep', body: `${body} wheat`, visibility: 'public' }, token)
  const { results } = await search({ q: 'wheat' })
  t.match(results[0]?.excerpt, [{ text: /^Once upon a time/, isMatch: false }])
  t.equal(results[0]?.excerpt.length, 1)
})

t.test('the pieces of a title are the title', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 60, size: 'max' }), async text => {
      await empty()
      const title = `wheat ${text.replace(/\p{Cc}/gv, '')}`
      await docs.create({ title, visibility: 'public' }, token)
      const { results } = await search({ q: 'wheat' })
      assert.equal(textOf(results[0]?.title ?? []), title)
    }),
    { numRuns: 60 },
  )
})

t.test('everybody finds what they may read, and nothing else', async t => {
  await empty()
  const [bob, grace] = [await createUser(), await createUser({ department: 'sales' })]
  const admin = await createUser({ role: 'admin' })
  const made = {
    private: await docs.create({ title: 'wheat, private' }, token),
    department: await docs.create({ title: 'wheat, department', visibility: 'department' }, token),
    public: await docs.create({ title: 'wheat, public', visibility: 'public' }, token),
    granted: await docs.create({ title: 'wheat, granted' }, token),
    deleted: await docs.create({ title: 'wheat, deleted', visibility: 'public' }, token),
  }
  await docs.grant(made.granted.id, bob.id, 'read', token)
  await docs.remove(made.deleted.id, token)
  for (const as of [undefined, ...[ada, bob, grace, admin].map(user => tokenOf(user))]) {
    const readable: string[] = []
    for (const { id, title } of Object.values(made))
      await docs.get(id, as).then(
        () => readable.push(title),
        () => {},
      )
    t.same(await titles('wheat', as), readable.sort())
    t.same(await titles('whe*', as), readable.sort())
  }
})

t.test(
  'pages walk all hits once, the best first, also those of the same rank, whatever is added meanwhile',
  async t => {
    await empty()
    for (let n = 0; n < 12; n++)
      await docs.create({ title: `wheat ${n}`, body: 'wheat '.repeat(n % 3), visibility: 'public' }, token)
    const whole = (await search({ q: 'wheat', pageSize: 50 })).results.map(({ documentId }) => documentId)
    t.equal(whole.length, 12)
    const met: string[] = []
    let pageToken = ''
    do {
      const page = await search({ q: 'wheat', pageSize: 5, pageToken })
      met.push(...page.results.map(({ documentId }) => documentId))
      pageToken = page.nextPageToken
      await docs.create({ title: 'wheat wheat', visibility: 'public' }, token)
    } while (pageToken !== '')
    t.same(met, whole)
    const { nextPageToken } = await search({ q: 'wheat', pageSize: 5 })
    for (const [q, as] of [
      ['wheat*', undefined],
      ['wheat', token],
    ] as const)
      await t.rejects(search({ q, pageToken: nextPageToken }, as), { code: Code.INVALID_ARGUMENT })
  },
)

t.test('a search is one statement, however many hits it has', async t => {
  await empty()
  for (const size of [1, 9, 40]) {
    await sql`insert into documents_all (owner_id, title, visibility)
      select ${ada.id}, 'wheat ' || n, 'public' from generate_series(1, ${size}::int) n`.execute(db)
    t.equal(await countStatements(() => search({ q: 'wheat', pageSize: 50 }, token)), 1)
  }
})

t.test('a rare word is found by the index of words, a frequent one from the newest document backwards', async t => {
  const { userUrl: url } = await openTestDatabase(t)
  const { db, close } = openDatabase<Tables>({ url, schema: SCHEMA, logger, statementTimeoutMs: 60_000 })
  t.teardown(close)
  await sql`insert into users_all (id, email) select gen_random_uuid(), n::text from generate_series(1, 100) n`.execute(
    db,
  )
  await sql`insert into documents_all (owner_id, title, body, visibility)
    select (array(select id from users_all))[1 + n % 100], 'Plan ' || n, 'common words and rare' || n % 1000, 'public'
    from generate_series(1, 20000) n`.execute(db)
  // What was just written waits in a list beside the index, for a vacuum.
  await sql`vacuum analyze`.execute(db)
  for (const q of ['rare77', '"rare77"', 'rare77*', 'common rare77 -plan'])
    for (const caller of [undefined, { userId: ada.id, role: 'user' } as const]) {
      const [plan] = await plansOf<Tables>({ url, schema: SCHEMA }, db =>
        createSearchRepository(db).search(parseSearchQuery(q), caller, 20, undefined),
      )
      t.match(plan, /Bitmap Index Scan on documents_search/, `${q}, ${caller?.role ?? 'nobody'}`)
    }
  for (const q of ['common', 'common words'])
    for (const caller of [undefined, { userId: ada.id, role: 'user' } as const]) {
      const [plan] = await plansOf<Tables>({ url, schema: SCHEMA }, db =>
        createSearchRepository(db).search(parseSearchQuery(q), caller, 20, undefined),
      )
      t.match(plan, /Index Scan Backward using documents_public_by_age/, `${q}, ${caller?.role ?? 'nobody'}`)
    }
})
