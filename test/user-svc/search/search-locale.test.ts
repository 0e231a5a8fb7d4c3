/**
 * Search in databases of different locales: the same text has the same words, stems and matches in each. The cluster's
 * default, the built-in C.UTF-8, is compared with C and with the locales of the operating system and of ICU.
 */
import { createHash, randomUUID } from 'node:crypto'
import t from 'tap'
import { type Piece, SearchRequest } from '#proto/search/v1/search.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import type { DatabaseUrls } from '../../../deploy/dev/database.ts'
import { runMigrate } from '../../../deploy/dev/migrate.ts'
import { provision, withClient } from '../../../deploy/dev/provision.ts'
import { runStores } from '../../support/run-stores.ts'
import { urlsOf } from '../../support/stores.ts'
import { createDocumentClient } from '../documents/document-client.ts'
import { serveUsers } from '../user-server.ts'

const { postgres } = await runStores()

const LOCALES = {
  'the default': '',
  C: "locale_provider libc locale 'C'",
  'C.UTF-8 of libc': "locale_provider libc locale 'C.utf8'",
  'Turkish of ICU': "locale_provider icu icu_locale 'tr-TR' locale 'C'",
  'ICU with C.UTF-8 of libc': "locale_provider icu icu_locale 'en-US' locale 'C.utf8'",
} as const

/** Creates a database with both schemas, in which user-svc is migrated. Undefined if the server lacks the locale. */
async function createDatabase(options: string, encoding = 'UTF8'): Promise<DatabaseUrls | undefined> {
  const database = `test_${randomUUID().replaceAll('-', '')}`
  const isCreated = await withClient(postgres, client =>
    client.query(`create database ${database} template template0 encoding '${encoding}' ${options}`).then(
      () => true,
      (error: Error & { code?: string }) => {
        // A locale that the machine or the build does not have.
        if (error.code === '42809' || error.code === '0A000' || error.code === '22023') return false
        throw error
      },
    ),
  )
  if (!isCreated) return undefined
  await provision(postgres, database, { auth_svc: 'auth_svc', user_svc: 'user_svc' })
  return urlsOf(postgres, database)
}

const TITLES = [
  '“Wonderful” — truly…',
  'Çay içiyorum, İstanbul',
  'ÉTÉ à l’École',
  'foo.png',
  'DS-7604NI',
  'Σοφός·ΣΟΦΟΣ',
]
const QUERIES = [
  'wonderful',
  'truly',
  'ete',
  'été',
  'école',
  'ÇAY',
  'istanbul',
  'İÇ*',
  'foo',
  '7604',
  'σοφοσ',
  'i*',
  'I*',
]

const results = new Map<string, unknown>()
for (const [name, options] of Object.entries(LOCALES))
  t.test(`search in a database of the locale ${name}`, async t => {
    const urls = await createDatabase(options)
    if (urls === undefined) return void t.comment('not available on this machine')
    await runMigrate('user-svc', 'up', urls.userUrl)
    const codePoints = await withClient(urls.userUrl, async client => {
      // Each character alone, inside a word, and in a word that is stemmed: all up to U+31FF, then one of 97.
      const { rows } = await client.query<{ words: string }>(`
        select search_vector(string_agg(format('%1$s x%1$sy %1$sings', chr(code)), ' '))::text as words
        from generate_series(1, 1114111) as code
        where (code < 12800 or code % 97 = 0) and code not between 55296 and 57343
        group by code / 512 order by code / 512`)
      return createHash('sha256')
        .update(rows.map(({ words }) => words).join('\n'))
        .digest('hex')
    })
    const server = await serveUsers({ url: urls.userUrl })
    t.teardown(() => server.close())
    const docs = createDocumentClient(server.docs)
    const id = randomUUID()
    const account = { id, email: `${id}@example.com`, name: 'Ada', role: 'user' }
    await callUnary(server.accounts, server.accounts.createAccount, account, { token: server.mint.service() })
    const token = server.mint.access({ sub: id, role: 'user' })
    for (const title of TITLES) await docs.create({ title, visibility: 'public' }, token)
    const found: Record<string, string[]> = {}
    for (const q of QUERIES) {
      const { results } = await callUnary(server.search, server.search.search, SearchRequest.create({ q }))
      found[q] = results.map(({ title }) => marked(title)).sort()
    }
    t.match(found, {
      wonderful: ['“[Wonderful]” — truly…'],
      truly: ['“Wonderful” — [truly]…'],
      été: ['[ÉTÉ] à l’École'],
      école: ['ÉTÉ à l’[École]'],
      ÇAY: ['[Çay] içiyorum, İstanbul'],
      istanbul: ['Çay içiyorum, [İstanbul]'],
      foo: ['[foo].png'],
      '7604': ['DS-[7604NI]'],
      σοφοσ: ['Σοφός·[ΣΟΦΟΣ]'],
    })
    results.set(name, { codePoints, found })
    t.same(results.get(name), results.get('the default'), 'words and results are those of the default locale')
  })

t.test('a database of another encoding than UTF8 is rejected by the migration', async t => {
  const urls = await createDatabase("locale_provider libc locale 'C'", 'SQL_ASCII')
  t.ok(urls)
  await t.rejects(runMigrate('user-svc', 'up', urls?.userUrl ?? ''), {
    message: /the encoding of the database is SQL_ASCII, and must be UTF8/,
  })
})

const marked = (pieces: readonly Piece[]) => pieces.map(({ text, isMatch }) => (isMatch ? `[${text}]` : text)).join('')
