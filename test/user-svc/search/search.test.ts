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
import { assertProperty } from '../../support/property.ts'
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
const textOf = (parts: readonly Piece[]) => parts.map(({ text }) => text).join('')
const titles = async (q: string, as?: string) =>
  (await search({ q }, as)).results.map(({ title }) => textOf(title)).sort()
const empty = () => sql`truncate documents_all cascade`.execute(db)

t.test('a search finds documents with all words, in any order and inflection, in title or body', async t => {
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
  t.same(await titles('the of'), [], 'stop words alone find nothing')
  t.same(
    await titles('the wheat -of'),
    ['Running a mill', 'Wheat', 'Windmills'],
    'stop words beside other words are ignored',
  )
})

t.test('a prefix matches the written word and its stem', async t => {
  await empty()
  await docs.create({ title: 'Theories of running', visibility: 'public' }, token)
  for (const q of ['the*', 'theories*', 'theo*', 'running*', 'run*'])
    t.same(await titles(q), ['Theories of running'], q)
  t.same(await titles('runs* -theory*'), [])
})

t.test('punctuation, symbols and white space separate words, in documents and in queries', async t => {
  await empty()
  const documents: Record<string, readonly string[]> = {
    'foo.png': ['foo', 'png', 'foo.png', 'FOO_PNG', '"foo png"', 'foo.p*', 'fo*'],
    'Alpha/Beta': ['alpha', 'beta', 'Alpha/Beta', 'Alpha-Beta', 'beta alpha'],
    'DS-7604NI': ['ds', '7604', 'DS-7604', 'DS-7604NI', '7604ni', 'DS-76*', '"ds 7604"'],
    'COVID-19': ['19', 'covid', 'COVID-19', 'covid–19', 'Covid—19'],
    COVID20: ['20', 'covid', 'COVID-20', 'covid20', '"covid 20"'],
    'ada@acme.example.com': ['ada', 'acme', 'ada@acme.example.com', 'example.com', 'ada@*'],
    '“Wonderful” — truly…': ['wonderful', '“Wonderful”', 'truly', '"wonderful truly"', 'wonder*'],
    'the ‹café›–«naïve»': ['café', 'naïve', 'CAFÉ', 'cafe\u0301', 'cafés', '‘naïve’'],
    'https://user:pass@host.example:8080/a-path/index.html?key=value&x=1#top': ['host', '8080', 'path', 'key', 'top'],
    '/usr/local/bin': ['usr', 'local', '/usr/local/bin', 'bin'],
    '1️⃣two ←\u0338three': ['1', 'two', 'three'],
    '<b>bold</b>': ['bold', '<b>bold</b>', 'b'],
    'snake_case,comma;semicolon': ['snake', 'case', 'comma', 'semicolon', 'snake_case'],
    'C:\\Temp\\Report.docx': ['temp', 'report', 'report.docx'],
    'v1.22.333': ['22', '333', '1.22.333', 'v1.22'],
    'sensor-17+18=35€': ['17', '18', '35', '35€', '17+18'],
    'Привет,мир': ['привет', 'МИР', 'мир'],
    '東京・大阪': ['東京', '大阪'],
    ΣΟΦΟΣ: ['σοφος', 'σοφοσ', 'Σοφος'],
    'co\u00adoperate\u200bzero': ['cooperate', 'zero'],
    'Gatehouse™ 20℃ note¹ ½': ['gatehouse', 'Gatehouse™', '20', 'note', '½'],
    'ﬁling Ｗｉｄｅ': ['filing', 'wide'],
  }
  for (const title of Object.keys(documents))
    await docs.create({ title: 'x', body: title, visibility: 'public' }, token)
  for (const [body, queries] of Object.entries(documents))
    for (const q of queries) {
      const { results } = await search({ q })
      const found = results.filter(({ excerpt }) => textOf(excerpt) === body)
      t.equal(found.length, 1, `${q} finds ${body}`)
      t.ok(
        found[0]?.excerpt.some(({ isMatch }) => isMatch),
        `${q} is highlighted in ${body}`,
      )
    }
})

t.test('words that a query joins by punctuation must be adjacent in a document', async t => {
  await empty()
  await docs.create({ title: 'foo.png', visibility: 'public' }, token)
  await docs.create({ title: 'png or foo', visibility: 'public' }, token)
  await docs.create({ title: 'foobar.png', visibility: 'public' }, token)
  t.same(await titles('foo.png'), ['foo.png'])
  t.same(await titles('foo png'), ['foo.png', 'png or foo'])
  t.same(await titles('foo -foo.png'), ['png or foo'])
  t.same(await titles('png -foo'), ['foobar.png'])
})

t.test('a number is not found by its first digits, nor a hash by its parts', async t => {
  await empty()
  await docs.create({ title: 'In 1984', body: 'commit 9f86d081884c7d65', visibility: 'public' }, token)
  for (const q of ['1984', '9f86d081884c7d65', '9f86*', '19*']) t.same(await titles(q), ['In 1984'], q)
  for (const q of ['19', '98', '9', '081884']) t.same(await titles(q), [], q)
})

/** The stop words of PostgreSQL's dictionary english_stem. */
const STOP_WORDS = new Set(
  `i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its
  itself they them their theirs themselves what which who whom this that these those am is are was were be been being
  have has had having do does did doing a an the and but if or because as until while of at by for with about against
  between into through during before after above below to from up down in out on off over under again further then once
  here there when where why how all any both each few more most other some such no nor not only own same so than too very
  s t can will just don should now`.split(/\s+/),
)
// Assigned since Unicode 16 at the latest: PostgreSQL 18 treats later punctuation as letters.
const SEPARATORS =
  /^[!-/:-@[-`{-~\u00a0-\u00a9\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2190-\u22ff\u3000-\u3003\u3008-\u3011😀-🙏]{1,3}$/u
const WORD = /[\p{L}\p{N}][\p{L}\p{M}\p{N}]*/gu
const looseText = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.stringMatching(/^[\p{L}\p{Nd}]{1,8}$/u) },
      { weight: 3, arbitrary: fc.stringMatching(/^[a-z0-9]{1,8}$/) },
      { weight: 4, arbitrary: fc.stringMatching(SEPARATORS) },
      {
        weight: 1,
        arbitrary: fc.constantFrom('e\u0301', 'ﬁ', '½', 'x²', '한국', 'हिन्दी', 'ไทย', '\u200d', '👩‍💻'),
      },
    ),
    { minLength: 1, maxLength: 20 },
  )
  .map(parts => parts.join('').replace(/\p{Cc}/gu, ''))

t.test('each word of a document, split at punctuation, finds the document', async t => {
  await empty()
  await assertProperty(
    t,
    fc.asyncProperty(looseText, async body => {
      const { id } = await docs.create({ title: 'x', body, visibility: 'public' }, token)
      for (const [word] of body.matchAll(WORD)) {
        if (STOP_WORDS.has(word.normalize('NFKC').toLowerCase()) || word.length > 100) continue
        const { results } = await search({ q: word, pageSize: 50 })
        assert.ok(
          results.some(({ documentId }) => documentId === id),
          `${JSON.stringify(word)} in ${JSON.stringify(body)}`,
        )
      }
      await docs.remove(id, token)
    }),
    { numRuns: 100 },
  )
})

t.test('a document of the longest body is indexed, whatever its words', async t => {
  await empty()
  const bodies = {
    words: Array.from({ length: 17_000 }, (_, n) => n.toString(36)).join(' '),
    'one word': 'ж'.repeat(99_990),
    'letters and digits': Array.from({ length: 16_000 }, (_, n) => `${n}é`)
      .join('.')
      .slice(0, 99_990),
    punctuation: '.-'.repeat(49_000),
  }
  for (const [name, body] of Object.entries(bodies))
    await t.resolves(docs.create({ title: name, body: `${body} wheat`, visibility: 'public' }, token), name)
  t.same(await titles('wheat'), Object.keys(bodies).sort())
})

t.test('a match in the title ranks before a match in the body', async t => {
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

t.test('tags restrict a search, and can be searched alone', async t => {
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

t.test('a search of exclusions only is rejected, any other text is accepted', async t => {
  for (const q of ['-wheat', '-tag:red', '""', '*'])
    await t.rejects(search({ q }), { code: Code.INVALID_ARGUMENT, violations: [{ field: 'q' }] }, q)
  for (const q of ["'", '\\', "a' | b:*", '!!x & (y', "it's*", '\\*', "x'':*", '<->', '<b>*', 'a\\*'])
    await t.resolves(search({ q }), q)
  await assertProperty(
    t,
    fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 30, size: 'max' }), async text => {
      const q = `wheat ${text.replace(/\p{Cc}/gv, '')}`
      await search({ q })
    }),
    { numRuns: 60 },
  )
})

t.test(
  'matches are highlighted, and the rest of the text is unchanged, including markup and control characters',
  async t => {
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
  },
)

t.test('snippets come from the first 20,000 characters of a body, matches from the whole body', async t => {
  await empty()
  const body = `Once upon a time. ${'other words '.repeat(2000)}`
  await docs.create({ title: 'Deep', body: `${body} wheat`, visibility: 'public' }, token)
  const { results } = await search({ q: 'wheat' })
  t.match(results[0]?.excerpt, [{ text: /^Once upon a time/, isMatch: false }])
  t.equal(results[0]?.excerpt.length, 1)
})

t.test('the highlighted parts of a title, joined, are the title', async t => {
  await assertProperty(
    t,
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

t.test('a search finds the documents that the caller may read, and no others', async t => {
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

t.test('pages of a search return every hit once, best first, despite equal ranks and concurrent inserts', async t => {
  await empty()
  for (let n = 0; n < 12; n++)
    await docs.create({ title: `wheat ${n}`, body: 'wheat '.repeat(n % 3), visibility: 'public' }, token)
  const all = (await search({ q: 'wheat', pageSize: 50 })).results.map(({ documentId }) => documentId)
  t.equal(all.length, 12)
  const listed: string[] = []
  let pageToken = ''
  do {
    const page = await search({ q: 'wheat', pageSize: 5, pageToken })
    listed.push(...page.results.map(({ documentId }) => documentId))
    pageToken = page.nextPageToken
    await docs.create({ title: 'wheat wheat', visibility: 'public' }, token)
  } while (pageToken !== '')
  t.same(listed, all)
  const { nextPageToken } = await search({ q: 'wheat', pageSize: 5 })
  for (const [q, as] of [
    ['wheat*', undefined],
    ['wheat', token],
  ] as const)
    await t.rejects(search({ q, pageToken: nextPageToken }, as), { code: Code.INVALID_ARGUMENT })
})

t.test('a search is one SQL statement, independent of the number of hits', async t => {
  await empty()
  for (const size of [1, 9, 40]) {
    await sql`insert into documents_all (owner_id, title, visibility)
      select ${ada.id}, 'wheat ' || n, 'public' from generate_series(1, ${size}::int) n`.execute(db)
    t.equal(await countStatements(() => search({ q: 'wheat', pageSize: 50 }, token)), 1)
  }
})

t.test('a search for a rare word uses the word index, for a frequent word the index by age', async t => {
  const { userUrl: url } = await openTestDatabase(t)
  const { db, close } = openDatabase<Tables>({ url, schema: SCHEMA, logger, statementTimeoutMs: 60_000 })
  t.teardown(close)
  await sql`insert into users_all (id, email) select gen_random_uuid(), n::text from generate_series(1, 100) n`.execute(
    db,
  )
  await sql`insert into documents_all (owner_id, title, body, visibility)
    select (array(select id from users_all))[1 + n % 100], 'Plan ' || n, 'common words and rare' || n % 1000, 'public'
    from generate_series(1, 20000) n`.execute(db)
  // VACUUM moves new entries from the pending list of the GIN index into the index.
  await sql`vacuum analyze`.execute(db)
  for (const q of ['rare77', '"rare77"', 'rare77*', 'common rare77 -plan'])
    for (const caller of [undefined, { userId: ada.id, role: 'user' } as const]) {
      const [plan] = await plansOf<Tables>({ url, schema: SCHEMA }, db =>
        createSearchRepository(db).search(parseSearchQuery(q), caller, 20, undefined),
      )
      t.match(plan, /Bitmap Index Scan on documents_words/, `${q}, ${caller?.role ?? 'anonymous'}`)
    }
  for (const q of ['common', 'common words'])
    for (const caller of [undefined, { userId: ada.id, role: 'user' } as const]) {
      const [plan] = await plansOf<Tables>({ url, schema: SCHEMA }, db =>
        createSearchRepository(db).search(parseSearchQuery(q), caller, 20, undefined),
      )
      t.match(plan, /Index Scan Backward using documents_public_by_age/, `${q}, ${caller?.role ?? 'anonymous'}`)
    }
})
