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

const schema = 'trial'
const logger = pino({ level: 'silent' })
const ONE = '20260101000000-one'
const TWO = '20260102000000-two'
const THREE = '20260103000000-three'

interface Trial extends MigrationOptions {
  write(name: string, body: { up: string; down?: string; more?: string }): Promise<void>
  remove(name: string): Promise<void>
  query(statement: string): Promise<unknown[]>
  states(): Promise<string[]>
}

/** An empty schema, and a folder for migrations beside this file, where they find Kysely. */
async function openTrial(t: Test): Promise<Trial> {
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

t.test('each is applied once, in the order of names, and taken back one at a time', async t => {
  const trial = await openTrial(t)
  t.same(await trial.states(), [])
  await trial.write(TWO, { up: 'alter table one add column two int', down: 'alter table one drop column two' })
  await trial.write(ONE, { up: 'create table one ()', down: 'drop table one' })
  t.same(await trial.states(), [`${ONE} pending`, `${TWO} pending`])
  await migrate(trial)
  await migrate(trial)
  t.same(await trial.states(), [`${ONE} applied`, `${TWO} applied`])
  await migrateDown(trial)
  t.same(await trial.states(), [`${ONE} applied`, `${TWO} pending`])
  await migrateDown(trial)
  t.same(await trial.query(`select to_regclass('one') as one`), [{ one: null }])
  await t.rejects(migrateDown(trial), { message: 'No migration of trial is applied: nothing to revert' })
})

t.test('several processes at once apply each migration once', async t => {
  const trial = await openTrial(t)
  await trial.write(ONE, { up: 'create table one (id int); insert into one values (1); select pg_sleep(0.2)' })
  await trial.write(TWO, { up: 'insert into one values (2)' })
  // It waits for whatever has begun before it: for those, too, that wait for their turn.
  await trial.write(THREE, { up: 'create index concurrently one_id on one (id)', more: outside })
  const runner = path.join(import.meta.dirname, 'migration-runner.ts')
  const env = { DATABASE_URL: trial.url, MIGRATIONS: trial.folder, SCHEMA: schema }
  const ends = await Promise.all(
    Array.from({ length: 4 }, () => execaNode(runner, { env, reject: false, all: true, nodeOptions: [] })),
  )
  for (const { exitCode, all } of ends) t.equal(exitCode, 0, all)
  t.same(await trial.query('select id from one order by id'), [{ id: 1 }, { id: 2 }])
  t.same(await trial.states(), [`${ONE} applied`, `${TWO} applied`, `${THREE} applied`])
})

t.test('one that fails is named and leaves nothing, and those before it stay', async t => {
  const trial = await openTrial(t)
  await trial.write(ONE, { up: 'create table one ()' })
  await trial.write(TWO, { up: 'create table two (); select nonsense' })
  await t.rejects(migrate(trial), { message: /20260102000000-two of trial failed: column "nonsense" does not exist/ })
  t.same(await trial.query(`select to_regclass('one')::text as one, to_regclass('two')::text as two`), [
    { one: 'one', two: null },
  ])
  t.same(await trial.states(), [`${ONE} applied`, `${TWO} pending`])
  t.same(await trial.query('select name from migration_checksums'), [{ name: ONE }])
})

t.test('an applied file that was edited is refused by name, and nothing is applied', async t => {
  const trial = await openTrial(t)
  await trial.write(ONE, { up: 'create table one ()' })
  await migrate(trial)
  await trial.write(ONE, { up: 'create table one ( )' })
  await trial.write(TWO, { up: 'create table two ()' })
  t.same(await trial.states(), [`${ONE} edited`, `${TWO} pending`])
  await t.rejects(migrate(trial), { message: /20260101000000-one was edited after it was applied/ })
  await t.rejects(migrateDown(trial), { message: /20260101000000-one was edited after it was applied/ })
  t.same(await trial.query(`select to_regclass('two') as two`), [{ two: null }])
  await trial.write(ONE, { up: 'create table one ()' })
  await migrate(trial)
  t.same(await trial.states(), [`${ONE} applied`, `${TWO} applied`])
})

t.test('an applied file that is gone is refused, and so is one that comes before what was applied', async t => {
  const trial = await openTrial(t)
  await trial.write(TWO, { up: 'create table two ()' })
  await migrate(trial)
  await trial.remove(TWO)
  await trial.write(ONE, { up: 'create table one ()' })
  t.same(await trial.states(), [`${ONE} late`, `${TWO} missing`])
  await t.rejects(migrate(trial), {
    message:
      /20260101000000-one is older than an applied migration.*20260102000000-two was applied, but the file is missing/,
  })
})

t.test('what was applied before checksums were kept is taken as it is, and then kept to', async t => {
  const trial = await openTrial(t)
  await trial.write(ONE, { up: 'create table one ()' })
  await migrate(trial)
  await trial.query('drop table migration_checksums')
  await trial.write(ONE, { up: 'create table one (id int)' })
  await migrate(trial)
  await trial.write(ONE, { up: 'create table one ()' })
  t.same(await trial.states(), [`${ONE} edited`])
})

t.test('a file that is not named as a migration is refused', async t => {
  const trial = await openTrial(t)
  await trial.write('notes', { up: '' })
  await t.rejects(migrate(trial), { message: /Invalid migration file name .*notes\.ts/ })
})

t.test('outside of a transaction: an index that broke off halfway is there, whole, after the next run', async t => {
  const trial = await openTrial(t)
  await trial.write(ONE, { up: 'create table one (id int); insert into one values (1), (1)' })
  const up = 'drop index concurrently if exists one_id; create unique index concurrently one_id on one (id)'
  await trial.write(TWO, { up, down: 'drop index concurrently one_id', more: outside })
  await t.rejects(migrate(trial), { message: /20260102000000-two of trial failed: could not create unique index/ })
  const valid = () => trial.query(`select indisvalid from pg_index where indexrelid = to_regclass('one_id')`)
  t.same(await valid(), [{ indisvalid: false }])
  t.same(await trial.states(), [`${ONE} applied`, `${TWO} pending`])
  await trial.query('delete from one')
  await migrate(trial)
  t.same(await valid(), [{ indisvalid: true }])
  await migrateDown(trial)
  t.same(await valid(), [])
})

t.test('one that takes an index for whole that broke off is refused', async t => {
  const trial = await openTrial(t)
  await trial.write(ONE, { up: 'create table one (id int); insert into one values (1), (1)' })
  await trial.write(TWO, { up: 'create unique index concurrently if not exists one_id on one (id)', more: outside })
  await t.rejects(migrate(trial), { message: /could not create unique index/ })
  await trial.query('delete from one')
  await t.rejects(migrate(trial), { message: /invalid indexes exist: one_id/ })
  t.same(await trial.states(), [`${ONE} applied`, `${TWO} pending`])
})

t.test(
  'a lock that another session holds is not waited for at length: others get by, and it is tried again',
  async t => {
    const trial = await openTrial(t)
    await trial.write(ONE, { up: 'create table one (id int)' })
    await migrate(trial)
    await trial.write(TWO, { up: 'alter table one add column two int' })
    const holder = new pg.Client({ connectionString: trial.url })
    await holder.connect()
    t.teardown(() => holder.end())
    await holder.query(`begin; lock table ${schema}.one in access share mode`)

    let retries = 0
    const counting = pino({ level: 'warn' }, { write: () => (retries += 1) })
    const migrating = migrate({ ...trial, logger: counting, lockTimeoutMs: 50 })
    await until(
      async () => retries,
      count => count >= 2,
    )
    // It would wait behind the migration if that still waited.
    await trial.query('insert into one values (1)')
    t.same(await trial.states(), [`${ONE} applied`, `${TWO} pending`])
    await holder.query('commit')
    await migrating
    t.same(await trial.query('select * from one'), [{ id: 1, two: null }])
  },
)

t.test('a migration that never gets its lock is given up, named, with nothing left of it', async t => {
  const trial = await openTrial(t)
  await trial.write(ONE, { up: 'create table one (id int)' })
  await migrate(trial)
  await trial.write(TWO, { up: 'create table two (); alter table one add column two int' })
  const holder = new pg.Client({ connectionString: trial.url })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query(`begin; lock table ${schema}.one in access share mode`)
  await t.rejects(migrate({ ...trial, lockTimeoutMs: 50, attempts: 2 }), {
    message: /20260102000000-two of trial failed: canceling statement due to lock timeout/,
  })
  t.same(await trial.query(`select to_regclass('two') as two`), [{ two: null }])
})
