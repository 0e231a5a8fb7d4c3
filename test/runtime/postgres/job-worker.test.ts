import { EventEmitter, once } from 'node:events'
import { sql } from 'kysely'
import { pino } from 'pino'
import t from 'tap'
import { openDatabase } from '#runtime/postgres/database.ts'
import { startJobWorker } from '#runtime/postgres/job-worker.ts'
import { JOBS_SCHEMA, SCHEMA, type Tables } from '../../../auth-svc/tables.ts'
import { openTestDatabase } from '../../support/test-database.ts'

const events = new EventEmitter()
// The restart is visible in the log only.
const logger = pino(
  {},
  { write: (line: string) => void (line.includes('job worker shut down; restarting it') && events.emit('restart')) },
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
    quick: () => void events.emit('quick'),
    held: async () => {
      events.emit('held')
      await held
    },
  },
})
t.teardown(() => worker.stop())

const add = (task: string) => sql`select auth_jobs.add_job(${task})`.execute(db)

async function runQuickJob(): Promise<void> {
  const done = once(events, 'quick')
  await add('quick')
  await done
}

t.test('a worker runs added jobs', async t => {
  for (let i = 0; i < 5; i++) await runQuickJob()
  t.pass()
})

t.test('a worker runs jobs after its connections were lost', async t => {
  await sql`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`.execute(db)
  for (let i = 0; i < 5; i++) await runQuickJob()
  t.pass()
})

t.test('a worker restarts and runs jobs after it could not record the completion of a job', async t => {
  const started = once(events, 'held')
  await add('held')
  await started
  await sql`alter table auth_jobs._private_jobs rename to elsewhere`.execute(db)
  const restarting = once(events, 'restart')
  release()
  await restarting
  await sql`alter table auth_jobs.elsewhere rename to _private_jobs`.execute(db)
  await runQuickJob()
  t.pass()
})
