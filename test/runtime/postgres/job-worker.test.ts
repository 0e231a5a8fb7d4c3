import { EventEmitter, once } from 'node:events'
import { sql } from 'kysely'
import { pino } from 'pino'
import t from 'tap'
import { openDatabase } from '#runtime/postgres/database.ts'
import { startJobWorker } from '#runtime/postgres/job-worker.ts'
import { JOBS_SCHEMA, SCHEMA, type Tables } from '../../../auth-svc/tables.ts'
import { startFaultProxy } from '../../support/fault-proxy.ts'
import { openTestDatabase } from '../../support/test-database.ts'

const events = new EventEmitter()
// A restart is visible in the log only.
const logger = pino(
  { level: 'debug' },
  {
    write(line: string) {
      if (line.includes('job worker shut down; restarting it')) events.emit('shutdown')
      if (line.includes('Worker connected')) events.emit('connected')
    },
  },
)

// A worker that graphile-worker has shut down after an error can leave a timer behind, which keeps the process alive.
// The timeout fires only in that case; it keeps the exit code.
t.teardown(() => void setTimeout(() => process.exit(), 1000).unref())

const { authUrl } = await openTestDatabase(t)
const { db, close } = openDatabase<Tables>({ url: authUrl, schema: SCHEMA, logger })
t.teardown(close)

const { promise: held, resolve: release } = Promise.withResolvers<void>()
const proxy = await startFaultProxy(t, Number(new URL(authUrl).port))
const worker = await startJobWorker({
  databaseUrl: proxy.urlOf(authUrl),
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
  // Waits for the end of each backend: one that is still running could lock a new job and lose its response.
  await sql`
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`.execute(db)
  for (let i = 0; i < 5; i++) await runQuickJob()
  t.pass()
})

t.test('a worker replaces all half-open connections, including the one that listens for notifications', async t => {
  const connected = once(events, 'connected')
  proxy.swallowOpenConnections()
  await runQuickJob()
  await connected
  t.pass()
})

t.test('a worker restarts and runs jobs after it could not record the completion of a job', async t => {
  const started = once(events, 'held')
  await add('held')
  await started
  await sql`alter table auth_jobs._private_jobs rename to elsewhere`.execute(db)
  const shutdown = once(events, 'shutdown')
  release()
  await shutdown
  const restarted = once(events, 'connected')
  await sql`alter table auth_jobs.elsewhere rename to _private_jobs`.execute(db)
  // A job added earlier could still run in the worker that is shutting down.
  await restarted
  await runQuickJob()
  t.pass()
})
