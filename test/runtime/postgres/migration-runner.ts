/** A process that runs `migrate`, for the test of concurrent runners. */
import { pino } from 'pino'
import { migrate } from '#runtime/postgres/migrations.ts'

const { DATABASE_URL: url = '', MIGRATIONS: folder = '', SCHEMA: schema = '' } = process.env
await migrate({ url, schema, folder, logger: pino({ level: 'silent' }) })
