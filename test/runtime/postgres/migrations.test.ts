import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execaNode } from 'execa'
import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { type MigrationOptions, migrate, migrateDown, migrationStatus } from '#runtime/postgres/migrations.ts'
import { withClient } from '../../../deploy/dev/provision.ts'
import { openTestDatabase } from '../../support/test-database.ts'
import { until } from '../../support/until.ts'

const schema = 'fixture'
const logger = pino({ level: 'silent' })
const ONE = '20260101000000-one'
const TWO = '20260102000000-two'
const THREE = '20260103000000-three'

interface Fixture extends MigrationOptions {
  write(name: string, body: { up: string; down?: string; more?: string }): Promise<void>
  remove(name: string): Promise<void>
  query(statement: string): Promise<unknown[]>
  states(): Promise<string[]>
}

/** Creates an empty schema, and a folder for migrations in which `import 'kysely'` resolves. */
async function openFixture(t: Test): Promise<Fixture> {
  const { adminUrl: url } = await openTestDatabase(t)
  await withClient(url, client => client.query(`create schema ${schema}`))
  const folder = await mkdtemp(path.join(import.meta.dirname, '.migrations-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const client = new pg.Client({ connectionString: url, options: `-c search_path=${schema}` })
  await client.connect()
  t.teardown(() => client.end())
  const options = { url, schema, folder, logger }
  return {
    ...options,
    write: (name, { up, down = '', more = '' }) =>
      writeFile(
        path.join(folder, `${name}.ts`),
        `import { sql } from 'kysely'
         ${more}
         const run = async (db, text) => { for (const one of text.split(';')) if (one.trim()) await sql.raw(one).execute(db) }
         export const up = db => run(db, ${JSON.stringify(up)})
         export const down = db => run(db, ${JSON.stringify(down)})`,
      ),
    remove: name => rm(path.join(folder, `${name}.ts`)),
    query: async statement => (await client.query(statement)).rows,
    states: async () => (await migrationStatus(options)).map(({ name, state }) => `${name} ${state}`),
  }
}

const outside = 'export const transaction = false'

t.test('migrations are applied once, in the order of their names, and reverted one at a time', async t => {
  const fixture = await openFixture(t)
  t.same(await fixture.states(), [])
  await fixture.write(TWO, { up: 'alter table one add column two int', down: 'alter table one drop column two' })
  await fixture.write(ONE, { up: 'create table one ()', down: 'drop table one' })
  t.same(await fixture.states(), [`${ONE} pending`, `${TWO} pending`])
  await migrate(fixture)
  await migrate(fixture)
  t.same(await fixture.states(), [`${ONE} applied`, `${TWO} applied`])
  await migrateDown(fixture)
  t.same(await fixture.states(), [`${ONE} applied`, `${TWO} pending`])
  await migrateDown(fixture)
  t.same(await fixture.query(`select to_regclass('one') as one`), [{ one: null }])
  await t.rejects(migrateDown(fixture), { message: 'No migration of fixture is applied: nothing to revert' })
})

t.test('concurrent processes apply each migration once', async t => {
  const fixture = await openFixture(t)
  await fixture.write(ONE, { up: 'create table one (id int); insert into one values (1); select pg_sleep(0.2)' })
  await fixture.write(TWO, { up: 'insert into one values (2)' })
  // Waits for all transactions that started earlier, including those of the waiting processes.
  await fixture.write(THREE, { up: 'create index concurrently one_id on one (id)', more: outside })
  const runner = path.join(import.meta.dirname, 'migration-runner.ts')
  const env = { DATABASE_URL: fixture.url, MIGRATIONS: fixture.folder, SCHEMA: schema }
  const results = await Promise.all(
    Array.from({ length: 4 }, () => execaNode(runner, { env, reject: false, all: true, nodeOptions: [] })),
  )
  for (const { exitCode, all } of results) t.equal(exitCode, 0, all)
  t.same(await fixture.query('select id from one order by id'), [{ id: 1 }, { id: 2 }])
  t.same(await fixture.states(), [`${ONE} applied`, `${TWO} applied`, `${THREE} applied`])
})

t.test('a failed migration is named and rolled back, and the migrations before it stay applied', async t => {
  const fixture = await openFixture(t)
  await fixture.write(ONE, { up: 'create table one ()' })
  await fixture.write(TWO, { up: 'create table two (); select nonsense' })
  await t.rejects(migrate(fixture), {
    message: /20260102000000-two of fixture failed: column "nonsense" does not exist/,
  })
  t.same(await fixture.query(`select to_regclass('one')::text as one, to_regclass('two')::text as two`), [
    { one: 'one', two: null },
  ])
  t.same(await fixture.states(), [`${ONE} applied`, `${TWO} pending`])
  t.same(await fixture.query('select name from migration_checksums'), [{ name: ONE }])
})

t.test('an edited file of an applied migration is reported by name, and nothing is applied', async t => {
  const fixture = await openFixture(t)
  await fixture.write(ONE, { up: 'create table one ()' })
  await migrate(fixture)
  await fixture.write(ONE, { up: 'create table one ( )' })
  await fixture.write(TWO, { up: 'create table two ()' })
  t.same(await fixture.states(), [`${ONE} edited`, `${TWO} pending`])
  await t.rejects(migrate(fixture), { message: /20260101000000-one was edited after it was applied/ })
  await t.rejects(migrateDown(fixture), { message: /20260101000000-one was edited after it was applied/ })
  t.same(await fixture.query(`select to_regclass('two') as two`), [{ two: null }])
  await fixture.write(ONE, { up: 'create table one ()' })
  await migrate(fixture)
  t.same(await fixture.states(), [`${ONE} applied`, `${TWO} applied`])
})

t.test('a missing file of an applied migration and a migration older than an applied one are reported', async t => {
  const fixture = await openFixture(t)
  await fixture.write(TWO, { up: 'create table two ()' })
  await migrate(fixture)
  await fixture.remove(TWO)
  await fixture.write(ONE, { up: 'create table one ()' })
  t.same(await fixture.states(), [`${ONE} late`, `${TWO} missing`])
  await t.rejects(migrate(fixture), {
    message:
      /20260101000000-one is older than an applied migration.*20260102000000-two was applied, but the file is missing/,
  })
})

t.test('a migration applied before checksums were recorded gets the checksum of its current file', async t => {
  const fixture = await openFixture(t)
  await fixture.write(ONE, { up: 'create table one ()' })
  await migrate(fixture)
  await fixture.query('drop table migration_checksums')
  await fixture.write(ONE, { up: 'create table one (id int)' })
  await migrate(fixture)
  await fixture.write(ONE, { up: 'create table one ()' })
  t.same(await fixture.states(), [`${ONE} edited`])
})

t.test('a file with an invalid name is reported', async t => {
  const fixture = await openFixture(t)
  await fixture.write('notes', { up: '' })
  await t.rejects(migrate(fixture), { message: /Invalid migration file name .*notes\.ts/ })
})

t.test('a repeatable migration outside of a transaction completes an interrupted index in the next run', async t => {
  const fixture = await openFixture(t)
  await fixture.write(ONE, { up: 'create table one (id int); insert into one values (1), (1)' })
  const up = 'drop index concurrently if exists one_id; create unique index concurrently one_id on one (id)'
  await fixture.write(TWO, { up, down: 'drop index concurrently one_id', more: outside })
  await t.rejects(migrate(fixture), { message: /20260102000000-two of fixture failed: could not create unique index/ })
  const valid = () => fixture.query(`select indisvalid from pg_index where indexrelid = to_regclass('one_id')`)
  t.same(await valid(), [{ indisvalid: false }])
  t.same(await fixture.states(), [`${ONE} applied`, `${TWO} pending`])
  await fixture.query('delete from one')
  await migrate(fixture)
  t.same(await valid(), [{ indisvalid: true }])
  await migrateDown(fixture)
  t.same(await valid(), [])
})

t.test('a migration that would keep an invalid index fails', async t => {
  const fixture = await openFixture(t)
  await fixture.write(ONE, { up: 'create table one (id int); insert into one values (1), (1)' })
  await fixture.write(TWO, { up: 'create unique index concurrently if not exists one_id on one (id)', more: outside })
  await t.rejects(migrate(fixture), { message: /could not create unique index/ })
  await fixture.query('delete from one')
  await t.rejects(migrate(fixture), { message: /invalid indexes exist: one_id/ })
  t.same(await fixture.states(), [`${ONE} applied`, `${TWO} pending`])
})

t.test('a migration that waits for a lock times out, does not block other sessions, and is retried', async t => {
  const fixture = await openFixture(t)
  await fixture.write(ONE, { up: 'create table one (id int)' })
  await migrate(fixture)
  await fixture.write(TWO, { up: 'alter table one add column two int' })
  const holder = new pg.Client({ connectionString: fixture.url })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query(`begin; lock table ${schema}.one in access share mode`)

  let retries = 0
  const counting = pino({ level: 'warn' }, { write: () => (retries += 1) })
  const migrating = migrate({ ...fixture, logger: counting, lockTimeoutMs: 50 })
  await until(
    async () => retries,
    count => count >= 2,
  )
  // Would block if the migration were still waiting for its lock.
  await fixture.query('insert into one values (1)')
  t.same(await fixture.states(), [`${ONE} applied`, `${TWO} pending`])
  await holder.query('commit')
  await migrating
  t.same(await fixture.query('select * from one'), [{ id: 1, two: null }])
})

t.test('a migration that does not get its lock in the last attempt fails, is named and rolled back', async t => {
  const fixture = await openFixture(t)
  await fixture.write(ONE, { up: 'create table one (id int)' })
  await migrate(fixture)
  await fixture.write(TWO, { up: 'create table two (); alter table one add column two int' })
  const holder = new pg.Client({ connectionString: fixture.url })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query(`begin; lock table ${schema}.one in access share mode`)
  await t.rejects(migrate({ ...fixture, lockTimeoutMs: 50, attempts: 2 }), {
    message: /20260102000000-two of fixture failed: canceling statement due to lock timeout/,
  })
  t.same(await fixture.query(`select to_regclass('two') as two`), [{ two: null }])
})
