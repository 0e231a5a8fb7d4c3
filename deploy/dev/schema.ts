/**
 * `make schema`: applies the migrations of both services to a temporary database and writes the resulting schemas:
 * `schema.sql` shows in a diff what a migration changes, `schema.ts` is compared with `tables.ts` by the compiler.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import getPort from 'get-port'
import { migrateAll, ROOT } from './migrate.ts'
import { postgresUrl, startPostgres } from './postgres.ts'
import { provision } from './provision.ts'
import { describeSchemas } from './schema-files.ts'

const directory = await mkdtemp(path.join(tmpdir(), 'gatehouse-schema-'))
const port = await getPort()
const at = { port, database: 'gatehouse' }
const password = 'schema'
const server = await startPostgres({
  dataDir: path.join(directory, 'postgres'),
  port,
  password,
  stopMode: 'immediate',
  settings: { fsync: 'off' },
})
try {
  const adminUrl = postgresUrl({ ...at, user: 'postgres', password, database: 'postgres' })
  await provision(adminUrl, at.database, { auth_svc: password, user_svc: password })
  const urls = {
    authUrl: postgresUrl({ ...at, user: 'auth_svc', password }),
    userUrl: postgresUrl({ ...at, user: 'user_svc', password }),
  }
  await migrateAll(urls)
  for (const [file, text] of await describeSchemas(postgresUrl({ ...at, user: 'postgres', password }))) {
    await writeFile(path.join(ROOT, file), text)
    console.log(file)
  }
} finally {
  await server.stop()
  await rm(directory, { recursive: true, force: true })
}
