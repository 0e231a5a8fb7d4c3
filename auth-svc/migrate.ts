import { join } from 'node:path'
import { runMigrationCommand } from '#runtime/postgres/migration-command.ts'
import { JOBS_SCHEMA, SCHEMA } from './tables.ts'

const succeeded = await runMigrationCommand(process.argv[2], {
  service: 'auth-svc',
  schema: SCHEMA,
  jobsSchema: JOBS_SCHEMA,
  folder: join(import.meta.dirname, 'migrations'),
})
if (!succeeded) process.exitCode = 1
