import { EventEmitter, once } from 'node:events'
import { sql } from 'kysely'
import { pino } from 'pino'
import t from 'tap'
import { openDatabase } from '#runtime/postgres/database.ts'
import { startJobWorker } from '#runtime/postgres/job-worker.ts'
import { JOBS_SCHEMA, SCHEMA, type Tables } from '../../../auth-svc/tables.ts'
import { openTestDatabase } from '../../support/test-database.ts'

const events = new EventEmitter()
// That it has given up, only its log tells.
const logger = pino(
  {},
  { write: (line: string) => void (line.includes('job worker shut down; restarting it') && events.emit('given up')) },
)

const { authUrl } = await openTestDatabase(t)
const { db, close } = openDatabase<Tables>({ url: authUrl, schema: SCHEMA, logger })
t.teardown(close)

const { promise: held, resolve: release } = Promise.withResolvers<void>()
const worker = await startJobWorker({
  databaseUrl: authUrl,
  schema: JOBS_SCHEMA,
  logger,
  pollMs: 50,
  tasks: {
    easy: () => void events.emit('easy'),
    held: async () => {
      events.emit('held')
      await held
    },
  },
})
t.teardown(() => worker.stop())

const add = (task: string) => sql`select auth_jobs.add_job(${task})`.execute(db)

async function doesJobs(): Promise<void> {
  const done = once(events, 'easy')
  await add('easy')
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

t.test('it goes on when it could not note that a job is done', async t => {
  const begun = once(events, 'held')
  await add('held')
  await begun
  await sql`alter table auth_jobs._private_jobs rename to elsewhere`.execute(db)
  const givenUp = once(events, 'given up')
  release()
  await givenUp
  await sql`alter table auth_jobs.elsewhere rename to _private_jobs`.execute(db)
  await doesJobs()
  t.pass()
})
