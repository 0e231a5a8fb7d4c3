import { EventEmitter, once } from 'node:events'
import { sql } from 'kysely'
import t from 'tap'
import { openDatabase } from '#runtime/postgres.ts'
import { startJobWorker } from '../../auth-svc/job-worker.ts'
import { SCHEMA, type Tables } from '../../auth-svc/tables.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { logger } from './silent-logger.ts'

const { authUrl } = await openTestDatabase(t)
const { db, close } = openDatabase<Tables>({ url: authUrl, schema: SCHEMA, logger })
t.teardown(close)

const events = new EventEmitter()
const worker = await startJobWorker({
  databaseUrl: authUrl,
  logger,
  pollMs: 50,
  tasks: { easy: () => void events.emit('easy') },
})
t.teardown(() => worker.stop())

async function doesJobs(): Promise<void> {
  const done = once(events, 'easy')
  await sql`select auth_jobs.add_job('easy')`.execute(db)
  await done
}

t.test('it does jobs', async t => {
  for (let i = 0; i < 5; i++) await doesJobs()
  t.pass()
})

t.test('it goes on when its connections are lost', async t => {
  await sql`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`.execute(db)
  for (let i = 0; i < 5; i++) await doesJobs()
  t.pass()
})
