import path from 'node:path'
import pg from 'pg'
import t from 'tap'
import { migrate, migrateDown, migrationStatus } from '#runtime/migrations.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { logger } from './user-system.ts'

const folder = path.resolve(import.meta.dirname, '../../user-svc/migrations')
const schema = 'users'

t.test('the migrations go down to nothing and up again', async t => {
  const { userUrl: url } = await openTestDatabase(t)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  const objects = async () => {
    const { rows } = await client.query<{ name: string }>(`
      select relname::text as name from pg_class where relnamespace = 'users'::regnamespace and relkind in ('r', 'v', 'S')
      union all select proname::text from pg_proc where pronamespace = 'users'::regnamespace
      order by name`)
    return rows.map(row => row.name).filter(name => !/^(kysely_|migration_)/.test(name))
  }

  const before = await objects()
  const options = { url, schema, folder, logger }
  for (const _ of await migrationStatus(options)) await migrateDown(options)
  t.same(await objects(), [])
  await migrate(options)
  t.same(await objects(), before)
})
