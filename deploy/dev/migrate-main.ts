/**
 * `make migrate`, `make migrate-status`, `make migrate-down`: work on the database of a running `make up`, or on the
 * one in the data folder.
 */
import type { DatabaseUrls } from './database.ts'
import { migrateAll, parseService, runMigrate, SERVICES } from './migrate.ts'
import { withSystemDatabase } from './system-database.ts'

const [command = 'up', service] = process.argv.slice(2)

await withSystemDatabase(urls =>
  run(urls).catch((error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  }),
)

async function run({ authUrl, userUrl }: DatabaseUrls): Promise<void> {
  const urls = { 'auth-svc': authUrl, 'user-svc': userUrl }
  if (command === 'up') {
    await migrateAll({ authUrl, userUrl })
    console.log('The database is up to date')
  } else if (command === 'status') {
    for (const name of SERVICES) console.log(await runMigrate(name, 'status', urls[name]))
  } else {
    const name = parseService(service)
    console.log(await runMigrate(name, 'down', urls[name]))
  }
}
