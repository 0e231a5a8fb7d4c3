import pg from 'pg'
import t from 'tap'
import { runChecks } from '../../deploy/dev/doctor-checks.ts'
import { loadAccounts } from '../../deploy/dev/seed-accounts.ts'
import { loadRows } from '../../deploy/dev/seed-load.ts'
import { seedTables } from '../../deploy/dev/seed-rows.ts'
import { openTestDatabase } from '../support/test-database.ts'

const SIZE = { users: 300, documents: 2000, seed: 7, now: Date.UTC(2026, 0, 1) }

const contentOf = (size: typeof SIZE) =>
  Object.values(seedTables(size)).map(({ rows }) => [...rows()].map(row => JSON.stringify(row)).join('\n'))

t.test('the same seed generates the same rows, another seed different rows', async t => {
  t.same(contentOf(SIZE), contentOf(SIZE))
  t.not(contentOf({ ...SIZE, seed: 8 })[1], contentOf(SIZE)[1])
})

t.test(
  'sample data has the requested size, passes all checks, and has the distributions that search and reports rely on',
  async t => {
    const urls = await openTestDatabase(t)
    const client = new pg.Client({ connectionString: urls.userUrl, options: '-c search_path=users' })
    await client.connect()
    t.teardown(() => client.end())
    await loadRows(client, seedTables(SIZE), () => {})
    await loadAccounts(urls, () => {})

    for (const { check, problems } of await runChecks(urls)) t.same(problems, [], check)
    const { rows } = await client.query(`
    select (select count(*)::int from users_all) as users, (select count(*)::int from documents_all) as documents,
      (select count(*)::int from comments_all) as comments, (select count(*)::int from documents) as active,
      (select count(distinct owner_id)::int from documents_all) as owners,
      (select count(*)::int from documents where visibility = 'public') as public,
      (select count(*)::int from documents_all where tags = '{}') as untagged,
      (select max(number)::int from (select count(*) as number from documents_all group by owner_id)) as largest,
      (select count(*)::int from users_all where role = 'editor') as editors,
      (select count(distinct name)::int from users_all) as names,
      (select count(*)::int from documents where search @@ plainto_tsquery('english', 'world')) as found`)
    t.match(rows[0], { users: 300, documents: 2000, comments: 2000 })
    const { active, owners, public: published, found, untagged, largest, editors, names } = rows[0]
    t.ok(active > 1700 && active < 2000, `${active} documents are not deleted`)
    t.ok(owners > 50 && owners < 300, `${owners} users own documents`)
    t.ok(largest > 20 && largest < 200, `the most active owner has ${largest} documents`)
    t.ok(published > 150 && published < 500, `${published} documents are public`)
    t.ok(untagged > 350 && untagged < 650, `${untagged} documents have no tag`)
    t.ok(found > 0 && found < 2000, `${found} documents contain a frequent word`)
    t.ok(editors > 5 && editors < 60, `${editors} users are editors`)
    t.ok(names > 250, `${names} different names`)
  },
)

t.test('a failed load changes no row, index, constraint or trigger', async t => {
  const { userUrl } = await openTestDatabase(t)
  const client = new pg.Client({ connectionString: userUrl, options: '-c search_path=users' })
  await client.connect()
  t.teardown(() => client.end())
  const state = async () => {
    const { rows } = await client.query(`
      select indexname as name from pg_indexes where schemaname = 'users' union all
      select conname from pg_constraint where connamespace = 'users'::regnamespace union all
      select tgname || ' ' || tgenabled::text from pg_trigger where not tgisinternal order by name`)
    return rows
  }
  const before = await state()
  const tables = seedTables(SIZE)
  const broken = {
    ...tables,
    comments_all: { ...tables.comments_all, rows: () => [['not a uuid', '', '', '', null, '']] },
  }
  await t.rejects(
    loadRows(client, broken, () => {}),
    { code: '22P02' },
  )
  t.same(await state(), before)
  t.same((await client.query('select from users_all')).rowCount, 0)
})
