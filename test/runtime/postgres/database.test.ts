import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import getPort from 'get-port'
import { type Kysely, sql } from 'kysely'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { openDatabase } from '#runtime/postgres/database.ts'
import { toStatusError } from '#runtime/postgres/errors.ts'
import { Code, notFound } from '#runtime/status.ts'
import { openTestDatabase } from '../../support/test-database.ts'

const logger = pino({ level: 'silent' })
const { userUrl: url } = await openTestDatabase(t)
const schema = 'users'

function open(t: Test, options: Partial<Parameters<typeof openDatabase>[0]> = {}) {
  const database = openDatabase<unknown>({ url, schema, logger, poolSize: 2, ...options })
  t.teardown(() => database.close())
  return database
}

const statusOf = (work: Promise<unknown>) => work.then(() => undefined, toStatusError)
const UNAVAILABLE = { code: Code.UNAVAILABLE, reason: 'unavailable' }

const pidOf = async (connection: Kysely<unknown>) => {
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(connection)
  return rows[0]?.pid ?? 0
}

t.test('a statement past its time is DEADLINE_EXCEEDED', async t => {
  const { db, ping } = open(t, { statementTimeoutMs: 50 })
  const status = await statusOf(sql`select pg_sleep(60)`.execute(db))
  t.match(status, { code: Code.DEADLINE_EXCEEDED, reason: 'deadline_exceeded' })
  await ping()
})

t.test('a server that says nothing at all is DEADLINE_EXCEEDED too, and the connection is good afterwards', async t => {
  const { db, ping } = open(t, { statementTimeoutMs: 50, poolSize: 1 })
  const pid = await pidOf(db)
  process.kill(pid, 'SIGSTOP')
  try {
    t.match(await statusOf(ping()), { code: Code.DEADLINE_EXCEEDED })
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await ping()
})

t.test('a connection that breaks under a statement is UNAVAILABLE, and the pool finds another', async t => {
  const { db, ping } = open(t)
  const broken = db.connection().execute(async connection => {
    const pid = await pidOf(connection)
    await Promise.all([
      sql`select pg_sleep(60)`.execute(connection),
      sql`select pg_terminate_backend(${pid})`.execute(db),
    ])
  })
  t.match(await statusOf(broken), UNAVAILABLE)
  // Whoever asks before the socket has closed may still be given the connection that is about to.
  while ((await statusOf(ping())) !== undefined);
})

t.test('a connection that breaks between two statements of a transaction ends neither process nor pool', async t => {
  const { db, ping } = open(t)
  const broken = db.transaction().execute(async transaction => {
    await sql`select pg_terminate_backend(${await pidOf(transaction)}, 5000)`.execute(db)
    await ping()
    await ping()
    await sql`select 1`.execute(transaction)
  })
  t.match(await statusOf(broken), UNAVAILABLE)
  for (let round = 0; round < 5; round++) await ping()
})

t.test('who waits in vain for a connection is told to come again, and nobody waits for ever', async t => {
  const { db, ping, poolState } = open(t, { poolSize: 1, acquireTimeoutMs: 1500 })
  const BUSY = { code: Code.UNAVAILABLE, reason: 'database_busy', retryAfterMs: 1000 }
  await db.connection().execute(async () => {
    const waiting = statusOf(ping())
    t.equal(poolState().waiting, 1)
    t.match(await waiting, BUSY)
    t.match(poolState(), { total: 1, idle: 0, waiting: 0 })
  })
  await ping()
  t.match(poolState(), { total: 1, idle: 1, waiting: 0 })
})

t.test('a pool has twice the cores and one connection, unless it is told otherwise', async t => {
  const { db, poolState } = open(t, { poolSize: undefined, preparedStatements: false })
  const most = availableParallelism() * 2 + 1
  await Promise.all(Array.from({ length: most + 3 }, () => sql`select pg_sleep(0.05)`.execute(db)))
  t.equal(poolState().total, most)
})

t.test('a server that is not there is UNAVAILABLE', async t => {
  const port = await getPort()
  for (const host of ['127.0.0.1', 'localhost', 'nowhere.invalid']) {
    const { ping } = open(t, { url: `postgres://x:x@${host}:${port}/x` })
    t.match(await statusOf(ping()), UNAVAILABLE, host)
  }
})

t.test('a database that was closed is UNAVAILABLE', async t => {
  const database = openDatabase<unknown>({ url, schema, logger })
  await database.ping()
  await database.close()
  t.match(await statusOf(database.ping()), UNAVAILABLE)
})

t.test('who lost a deadlock is ABORTED', async t => {
  const { db } = open(t)
  const lock = (first: number, second: number, met: () => Promise<void>) =>
    db.transaction().execute(async transaction => {
      await sql`select pg_advisory_xact_lock(${first}::int, 0)`.execute(transaction)
      await met()
      await sql`select pg_advisory_xact_lock(${second}::int, 0)`.execute(transaction)
    })
  const both = Promise.withResolvers<void>()
  let count = 0
  const met = () => {
    if (++count === 2) both.resolve()
    return both.promise
  }
  const statuses = await Promise.all([statusOf(lock(1, 2, met)), statusOf(lock(2, 1, met))])
  t.match(statuses.filter(Boolean), [{ code: Code.ABORTED, reason: 'aborted' }])
})

t.test('what only the thrower can tell stays as it is', async t => {
  const { db } = open(t)
  const id = randomUUID()
  const violation = await statusOf(sql`insert into users (id, email) values (${id}, 'a'), (${id}, 'b')`.execute(db))
  t.match(violation, { code: '23505' })
  const known = notFound('user')
  t.equal(toStatusError(known), known)
  const other = new Error('of somebody else')
  t.equal(toStatusError(other), other)
})

t.test('a bigint keeps its digits', async t => {
  const { db } = open(t)
  const { rows } = await sql`select 9007199254740993::bigint as n`.execute(db)
  t.same(rows, [{ n: 9007199254740993n }])
})
