import { promises as fs } from 'node:fs'
import path from 'node:path'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import pg from 'pg'
import t from 'tap'
import { migrate } from '#runtime/migrations.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { logger } from './user-system.ts'

const folder = path.resolve(import.meta.dirname, '../../user-svc/migrations')
const schema = 'users'

t.test('the migrations go down to nothing and up again, also from several processes at once', async t => {
  const { userUrl: url } = await openTestDatabase(t)
  const pool = new pg.Pool({ connectionString: url, options: `-c search_path=${schema}`, max: 1 })
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  t.teardown(() => db.destroy())
  const provider = new FileMigrationProvider({ fs, path, migrationFolder: folder })
  const migrator = new Migrator({ db, provider, migrationTableSchema: schema })
  const objects = async () => {
    const { rows } = await sql<{ name: string }>`
      select relname::text as name from pg_class where relnamespace = ${schema}::regnamespace and relkind in ('r', 'v', 'S')
      union all select proname::text from pg_proc where pronamespace = ${schema}::regnamespace
      order by name`.execute(db)
    return rows.map(row => row.name).filter(name => !name.startsWith('kysely_'))
  }

  const before = await objects()
  for (const _ of await migrator.getMigrations()) t.notOk((await migrator.migrateDown()).error)
  t.same(await objects(), [])
  await Promise.all(Array.from({ length: 4 }, () => migrate({ url, schema, folder, logger })))
  t.same(await objects(), before)
})
