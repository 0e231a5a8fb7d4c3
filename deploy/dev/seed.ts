/**
 * `make seed USERS=100000 DOCS=1000000`: fills the database of a running `make up`, or the one in the data folder, with
 * sample data. All sample users have the same password, which is printed at the end.
 */
import pg from 'pg'
import { readSettings } from '#runtime/process/env.ts'
import { migrateAll } from './migrate.ts'
import { loadAccounts, SEED_EMAIL, SEED_PASSWORD } from './seed-accounts.ts'
import { type LoadStep, loadRows } from './seed-load.ts'
import { seedTables } from './seed-rows.ts'
import { seedSettings } from './settings.ts'
import { withSystemDatabase } from './system-database.ts'

const { USERS, DOCS, SEED } = readSettings(seedSettings)

await withSystemDatabase(async urls => {
  await migrateAll(urls)
  const client = new pg.Client({ connectionString: urls.userUrl, options: '-c search_path=users' })
  await client.connect()
  try {
    const { rowCount } = await client.query('select from documents_all limit 1')
    if (rowCount !== 0) {
      console.error('The database already contains documents. `make reset` deletes all data.')
      process.exitCode = 1
      return
    }
    const startedAt = performance.now()
    // Times are relative to the current time, so that the latest documents are recent.
    const tables = seedTables({ users: USERS, documents: DOCS, seed: SEED, now: Date.now() })
    await loadRows(client, tables, printStep)
    await loadAccounts(urls, printStep)
    const seconds = (performance.now() - startedAt) / 1000
    console.log(`Wrote ${USERS} users and ${DOCS} documents in ${seconds.toFixed(0)} s.`)
    console.log(`The password of every sample user is "${SEED_PASSWORD}". One user per role:`)
    const { rows } = await client.query<{ email: string; role: string }>(
      'select distinct on (role) email, role from users where email ~ $1 order by role, id',
      [SEED_EMAIL],
    )
    for (const { email, role } of rows) console.log(`  ${role.padEnd(9)} ${email}`)
  } finally {
    await client.end()
  }
})

function printStep({ name, rows, seconds }: LoadStep): void {
  const rate = rows === undefined ? '' : `, ${rows} rows, ${Math.round(rows / seconds)} rows/s`
  console.log(`${name}: ${seconds.toFixed(1)} s${rate}`)
}
