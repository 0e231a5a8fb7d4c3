/**
 * `make seed USERS=100000 DOCS=1000000`: fills the database of a running `make up`, or the one in its folder, with data to
 * look at and to measure by. Everybody in it can sign in by one password, which it prints.
 */
import pg from 'pg'
import { readSettings } from '#runtime/process/env.ts'
import { migrateAll } from './migrate.ts'
import { loadAccounts, SEED_PASSWORD } from './seed-accounts.ts'
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
      console.error('There are documents already: `make reset` deletes all that is there')
      process.exitCode = 1
      return
    }
    const startedAt = performance.now()
    // The same each time, but for its age: what was written lately is to be lately.
    const tables = seedTables({ users: USERS, documents: DOCS, seed: SEED, now: Date.now() })
    await loadRows(client, tables, tellStep)
    await loadAccounts(urls, tellStep)
    const seconds = (performance.now() - startedAt) / 1000
    console.log(
      `${USERS} users and ${DOCS} documents in ${seconds.toFixed(0)} s. Sign in as any, by "${SEED_PASSWORD}":`,
    )
    const { rows } = await client.query<{ email: string; role: string }>(
      'select distinct on (role) email, role from users order by role, id',
    )
    for (const { email, role } of rows) console.log(`  ${role.padEnd(9)} ${email}`)
  } finally {
    await client.end()
  }
})

function tellStep({ name, rows, seconds }: LoadStep): void {
  const rate = rows === undefined ? '' : `, ${rows} rows, ${Math.round(rows / seconds)} a second`
  console.log(`${name}: ${seconds.toFixed(1)} s${rate}`)
}
