import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import getPort from 'get-port'
import { type Kysely, sql } from 'kysely'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { openDatabase } from '#runtime/postgres/database.ts'
import { toStatusError } from '#runtime/postgres/errors.ts'
import { Code, notFound } from '#runtime/status.ts'
import { startFaultProxy } from '../../support/fault-proxy.ts'
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

t.test('a statement that exceeds the statement timeout fails with DEADLINE_EXCEEDED', async t => {
  const { db, ping } = open(t, { statementTimeoutMs: 50 })
  const status = await statusOf(sql`select pg_sleep(60)`.execute(db))
  t.match(status, { code: Code.DEADLINE_EXCEEDED, reason: 'deadline_exceeded' })
  await ping()
})

t.test('a statement to a server that does not respond fails with DEADLINE_EXCEEDED, and the pool recovers', async t => {
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

t.test('one statement without a reply replaces all half-open connections to the database', async t => {
  const proxy = await startFaultProxy(t, Number(new URL(url).port))
  const { db, prepare, ping, poolState } = open(t, { url: proxy.urlOf(url), statementTimeoutMs: 500, poolSize: 7 })
  const prepared = prepare(() => sql`select 1`.compile(db))
  const sleep = () => sql`select pg_sleep(0.2)`.execute(db)
  // Opens all four connections of the pool, and one for prepared statements.
  await Promise.all([sleep(), sleep(), sleep(), sleep(), prepared()])
  t.match(poolState(), { total: 4, idle: 4 })
  for (const statement of [ping, prepared]) {
    await Promise.all([sleep(), sleep(), sleep(), sleep(), prepared()])
    proxy.swallowOpenConnections()
    t.match(await statusOf(statement()), { code: Code.DEADLINE_EXCEEDED })
    for (let count = 0; count < 5; count++) await Promise.all([ping(), prepared()])
  }
})

t.test('a statement that waits for a half-open connection gets a new one', async t => {
  const proxy = await startFaultProxy(t, Number(new URL(url).port))
  const { ping } = open(t, { url: proxy.urlOf(url), statementTimeoutMs: 500, acquireTimeoutMs: 20_000, poolSize: 1 })
  await ping()
  proxy.swallowOpenConnections()
  const [failed, waiting] = await Promise.all([statusOf(ping()), statusOf(ping())])
  t.match(failed, { code: Code.DEADLINE_EXCEEDED })
  t.equal(waiting, undefined)
})

t.test('a transaction on a half-open connection fails with DEADLINE_EXCEEDED after one timeout', async t => {
  const proxy = await startFaultProxy(t, Number(new URL(url).port))
  const { db } = open(t, { url: proxy.urlOf(url), statementTimeoutMs: 500 })
  let timeouts = 0
  const broken = db.transaction().execute(async transaction => {
    await sql`select 1`.execute(transaction)
    proxy.swallowOpenConnections()
    const startedAt = performance.now()
    await sql`select 1`.execute(transaction).finally(() => {
      timeouts = performance.now() - startedAt
    })
  })
  const startedAt = performance.now()
  t.match(await statusOf(broken), { code: Code.DEADLINE_EXCEEDED })
  t.ok(performance.now() - startedAt < timeouts + 700, 'the rollback does not wait for a reply')
})

t.test(
  'a statement whose connection is lost fails with UNAVAILABLE, and the pool opens another connection',
  async t => {
    const { db, ping } = open(t)
    const broken = db.connection().execute(async connection => {
      const pid = await pidOf(connection)
      await Promise.all([
        sql`select pg_sleep(60)`.execute(connection),
        sql`select pg_terminate_backend(${pid})`.execute(db),
      ])
    })
    t.match(await statusOf(broken), UNAVAILABLE)
    // Until the socket has closed, the pool may still hand out the broken connection.
    while ((await statusOf(ping())) !== undefined);
  },
)

t.test('a connection lost between two statements of a transaction ends neither the process nor the pool', async t => {
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

t.test('a statement that gets no connection in time fails with database_busy and a retry delay', async t => {
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

t.test('the default pool size is twice the CPU cores plus one', async t => {
  const { db, poolState } = open(t, { poolSize: undefined, preparedStatements: false })
  const maximum = availableParallelism() * 2 + 1
  await Promise.all(Array.from({ length: maximum + 3 }, () => sql`select pg_sleep(0.05)`.execute(db)))
  t.equal(poolState().total, maximum)
})

t.test('a statement to an unreachable server fails with UNAVAILABLE', async t => {
  const port = await getPort()
  for (const host of ['127.0.0.1', 'localhost', 'nowhere.invalid']) {
    const { ping } = open(t, { url: `postgres://x:x@${host}:${port}/x` })
    t.match(await statusOf(ping()), UNAVAILABLE, host)
  }
})

t.test('a statement on a closed database fails with UNAVAILABLE', async t => {
  const database = openDatabase<unknown>({ url, schema, logger })
  await database.ping()
  await database.close()
  t.match(await statusOf(database.ping()), UNAVAILABLE)
})

t.test('the victim of a deadlock fails with ABORTED', async t => {
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

t.test('NUL in a parameter fails with INVALID_ARGUMENT', async t => {
  const { db, prepare } = open(t, { poolSize: 4 })
  const expected = { code: Code.INVALID_ARGUMENT, reason: 'invalid_argument' }
  t.match(await statusOf(sql`select ${'a\0b'}::text`.execute(db)), expected)
  t.match(await statusOf(sql`select ${'{"a":"\\u0000"}'}::jsonb`.execute(db)), expected)
  t.match(await statusOf(prepare(() => sql`select ${''}::text`.compile(db))('a\0b')), expected)
})

t.test('toStatusError returns other errors unchanged', async t => {
  const { db } = open(t)
  const id = randomUUID()
  const violation = await statusOf(sql`insert into users (id, email) values (${id}, 'a'), (${id}, 'b')`.execute(db))
  t.match(violation, { code: '23505' })
  const known = notFound('user')
  t.equal(toStatusError(known), known)
  const other = new Error('unrelated')
  t.equal(toStatusError(other), other)
})

t.test('a bigint column is read without loss of digits', async t => {
  const { db } = open(t)
  const { rows } = await sql`select 9007199254740993::bigint as n`.execute(db)
  t.same(rows, [{ n: 9007199254740993n }])
})
