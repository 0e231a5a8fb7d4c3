/** The migration search-words, which fills and indexes a new column while the previous release serves calls. */
import path from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import t from 'tap'
import { migrate, migrateDown } from '#runtime/postgres/migrations.ts'
import { ROOT } from '../../../deploy/dev/migrate.ts'
import { withClient } from '../../../deploy/dev/provision.ts'
import { openTestDatabase } from '../../support/test-database.ts'
import { until } from '../../support/until.ts'

const NAME = '20261129084500-search-words'
const DOCUMENTS = 6000

t.test('search-words runs beside the traffic of the previous release and resumes after interruptions', async t => {
  const { userUrl: url, adminUrl } = await openTestDatabase(t)
  const options = {
    url,
    schema: 'users',
    folder: path.join(ROOT, 'user-svc/migrations'),
    logger: pino({ level: 'silent' }),
  }
  // Reverts to the state before it, whatever migrations follow.
  while (await isApplied()) await migrateDown(options)
  await withClient(url, client =>
    client.query(`
      insert into users_all (id, email) values (gen_random_uuid(), 'ada@example.com');
      insert into documents_all (owner_id, title, body, visibility)
      select id, 'foo.png', 'old wheat ' || n, 'public' from users_all, generate_series(1, ${DOCUMENTS}) n`),
  )

  /** Statements of the previous release, until the end. */
  const failures: unknown[] = []
  let calls = 0
  let isOver = false
  const traffic = withClient(url, async client => {
    while (!isOver) {
      try {
        const { rows } = await client.query(`
          insert into documents (owner_id, title, body, visibility)
          select id, 'During.txt', 'barley', 'public' from users returning id, version`)
        await client.query(`update documents set body = 'changed oats' where id = $1`, [rows[0].id])
        await client.query(`update documents set tags = '{red}' where id = (
          select id from documents where tags = '{}' order by id limit 1)`)
        const found = await client.query(`
          select id from documents where search @@ plainto_tsquery('english', 'wheat') order by created_at desc limit 9`)
        if (found.rowCount !== 9) failures.push(`${found.rowCount} results`)
        if (calls % 5 === 0) await client.query('delete from documents where id = $1', [rows[0].id])
        calls++
      } catch (error) {
        failures.push(error)
      }
    }
  })
  const waitForCalls = (number: number) => {
    const from = calls
    return until(
      async () => calls - from,
      count => count >= number || failures.length > 0,
    )
  }
  await waitForCalls(5)

  // First interruption: while the column is filled.
  const filling = interrupted()
  await until(filledRows, count => count > 0 && count < DOCUMENTS, { everyMs: 1 })
  await terminate()
  t.match(await filling, { message: /search-words of users failed/ })
  const filled = await filledRows()
  t.ok(filled > 0 && filled < DOCUMENTS, `interrupted after ${filled} rows`)

  // Second interruption: while the index is built, which waits for the snapshot of a transaction.
  const blocking = new pg.Client({ connectionString: url })
  await blocking.connect()
  await blocking.query('begin isolation level repeatable read; select 1')
  const building = interrupted()
  // A transaction that holds a row delays only this row.
  await until(filledRows, count => count > filled, { timeoutMs: 60_000, everyMs: 1 })
  const holding = new pg.Client({ connectionString: url })
  await holding.connect()
  await holding.query(`
    begin;
    update documents_all set tags = '{held}' where id = (select max(id::text)::uuid from documents_all where body like 'old %')`)
  await until(filledRows, count => count >= DOCUMENTS - 1, { timeoutMs: 60_000 })
  await holding.query('commit')
  await holding.end()
  await until(indexState, state => state === 'invalid', { timeoutMs: 60_000 })
  await waitForCalls(5)
  await terminate()
  t.match(await building, { message: /search-words of users failed/ })
  await blocking.end()
  t.equal(await indexState(), 'invalid')

  await waitForCalls(5)
  await migrate(options)
  t.equal(await indexState(), 'valid')
  await waitForCalls(5)
  isOver = true
  await traffic
  t.same(failures, [])
  t.comment(`${calls} rounds of the previous release`)
  t.match(
    await one(`
      select count(*) filter (where words is null) as empty,
        count(*) filter (where words is distinct from document_words(title, body)) as wrong,
        count(*) filter (where body like 'old wheat %') as old,
        bool_and(version = case when body like 'old %' then case when tags = '{}' then 1 else 2 end else version end) as untouched
      from documents_all`),
    { empty: '0', wrong: '0', old: String(DOCUMENTS), untouched: true },
  )
  t.equal(
    Number((await one(`select count(*) from documents where words @@ search_query('foo', '&', false)`)).count),
    DOCUMENTS,
  )
  await t.rejects(one('update documents_all set words = null returning 1'), { code: '23502' })

  function one(text: string): Promise<Record<string, unknown>> {
    return withClient(url, async client => (await client.query(text)).rows[0])
  }
  async function isApplied(): Promise<boolean> {
    return (await one(`select exists (select from kysely_migration where name = '${NAME}') as found`)).found === true
  }
  async function filledRows(): Promise<number> {
    const { exists } = await one(`
      select exists (select from pg_attribute where attrelid = 'documents_all'::regclass and attname = 'words')`)
    return exists === true
      ? Number((await one(`select count(words) from documents_all where body like 'old %'`)).count)
      : 0
  }
  async function indexState(): Promise<string> {
    const index = await one(`
      select indisvalid as valid from pg_index where indexrelid = to_regclass('documents_words')`)
    return index === undefined ? 'missing' : index.valid === true ? 'valid' : 'invalid'
  }
  /** Runs the migration. Resolves with its error. */
  function interrupted(): Promise<unknown> {
    return migrate(options).then(
      () => 'applied',
      error => error,
    )
  }
  /** Ends the connection that holds the lock of the migrations. */
  async function terminate(): Promise<void> {
    await withClient(adminUrl, client =>
      client.query(`
        select pg_terminate_backend(pid) from pg_locks
        where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`),
    )
    await until(
      () =>
        withClient(
          adminUrl,
          async client =>
            (
              await client.query(`
        select from pg_locks
        where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`)
            ).rowCount,
        ),
      count => count === 0,
    )
  }
})
