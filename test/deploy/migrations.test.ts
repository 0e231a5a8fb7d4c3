import path from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { migrate, migrateDown, migrationStatus } from '#runtime/postgres/migrations.ts'
import { ROOT, runMigrate, SERVICES } from '../../deploy/dev/migrate.ts'
import { withClient } from '../../deploy/dev/provision.ts'
import { dumpSchema } from '../../deploy/dev/schema-dump.ts'
import { openTestDatabase } from '../support/test-database.ts'

const logger = pino({ level: 'silent' })
const schemas = { 'auth-svc': 'auth', 'user-svc': 'users' } as const

for (const service of SERVICES) {
  const schema = schemas[service]
  const folder = path.join(ROOT, service, 'migrations')

  t.test(
    `${service}: reverting and reapplying each migration restores the same schema; reverting all leaves an empty one`,
    async t => {
      const { authUrl, userUrl, adminUrl } = await openTestDatabase(t)
      const options = { url: service === 'auth-svc' ? authUrl : userUrl, schema, folder, logger }
      const dump = () => withClient(adminUrl, client => dumpSchema(client, schema))
      const empty = await withClient(adminUrl, async client => {
        await client.query('create schema empty')
        return dumpSchema(client, 'empty')
      })
      const complete = await dump()
      // Dumps from before each migration, the latest migration first.
      const before: string[] = []
      for (const _ of await migrationStatus(options)) {
        await migrateDown(options)
        before.push(await dump())
      }
      t.equal(before.at(-1), empty)
      await migrate(options)
      t.equal(await dump(), complete)
      for (const expected of before) {
        await migrateDown(options)
        t.equal(await dump(), expected)
      }
    },
  )
}

t.test('migrate.ts prints the status, reverts one migration per run, and fails if none is applied', async t => {
  const { userUrl } = await openTestDatabase(t)
  const run = (command: 'down' | 'status') => runMigrate('user-svc', command, userUrl)
  const count = (await run('status')).split('\n').length
  t.match(await run('status'), /^users +applied +\d{4}-.* 20261124120000-users\n/)
  for (let step = 0; step < count; step += 1) t.match(await run('down'), /"migration reverted"/)
  t.match(await run('status'), /^users +pending +20261124120000-users\n/)
  await t.rejects(run('down'), { message: /No migration of users is applied: nothing to revert/ })
})
