import pg from 'pg'
import t from 'tap'
import { examine } from '../../deploy/dev/doctor-checks.ts'
import { loadAccounts } from '../../deploy/dev/seed-accounts.ts'
import { loadRows } from '../../deploy/dev/seed-load.ts'
import { seedTables } from '../../deploy/dev/seed-rows.ts'
import { openTestDatabase } from '../support/test-database.ts'

const SIZE = { users: 300, documents: 2000, seed: 7, now: Date.UTC(2026, 0, 1) }

const contentOf = (size: typeof SIZE) =>
  Object.values(seedTables(size)).map(({ rows }) => [...rows()].map(row => JSON.stringify(row)).join('\n'))

t.test('the same seed makes the same data, and another one other data', async t => {
  t.same(contentOf(SIZE), contentOf(SIZE))
  t.not(contentOf({ ...SIZE, seed: 8 })[1], contentOf(SIZE)[1])
})

t.test('what is seeded is a sound database of the size asked for', async t => {
  const urls = await openTestDatabase(t)
  const client = new pg.Client({ connectionString: urls.userUrl, options: '-c search_path=users' })
  await client.connect()
  t.teardown(() => client.end())
  await loadRows(client, seedTables(SIZE), () => {})
  await loadAccounts(urls, () => {})

  for (const { check, faults } of await examine(urls)) t.same(faults, [], check)
  const { rows } = await client.query(`
    select (select count(*)::int from users_all) as users, (select count(*)::int from documents_all) as documents,
      (select count(*)::int from comments_all) as comments, (select count(*)::int from documents) as living,
      (select count(distinct owner_id)::int from documents_all) as owners,
      (select count(*)::int from documents where visibility = 'public') as public,
      (select count(*)::int from documents where search @@ plainto_tsquery('english', 'world')) as found`)
  t.match(rows[0], { users: 300, documents: 2000, comments: 2000 })
  const { living, owners, public: open, found } = rows[0]
  t.ok(living < 2000 && living > 1700, `${living} are there`)
  t.ok(owners > 50 && owners < 300, `${owners} wrote them`)
  t.ok(open > 150 && open < 500, `${open} are public`)
  t.ok(found > 0 && found < 2000, `${found} have a frequent word`)
})

t.test('a load that fails has changed nothing', async t => {
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
    comments_all: { ...tables.comments_all, rows: () => [['no uuid', '', '', '', null, '']] },
  }
  await t.rejects(
    loadRows(client, broken, () => {}),
    { code: '22P02' },
  )
  t.same(await state(), before)
  t.same((await client.query('select from users_all')).rowCount, 0)
})
