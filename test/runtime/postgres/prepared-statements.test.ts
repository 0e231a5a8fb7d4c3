import { CompiledQuery, sql } from 'kysely'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { openDatabase } from '#runtime/postgres/database.ts'
import { toStatusError } from '#runtime/postgres/errors.ts'
import { Code } from '#runtime/status.ts'
import { openTestDatabase } from '../../support/test-database.ts'

const logger = pino({ level: 'silent' })
const { userUrl: url } = await openTestDatabase(t)

function open(t: Test, options: Partial<Parameters<typeof openDatabase>[0]> = {}) {
  const database = openDatabase<unknown>({ url, schema: 'users', logger, poolSize: 3, ...options })
  t.teardown(() => database.close())
  return database
}

const raw = <Row>(text: string) => CompiledQuery.raw(text) as CompiledQuery<Row>
const statusOf = (work: Promise<unknown>) => work.then(() => undefined, toStatusError)

for (const preparedStatements of [true, false]) {
  const name = preparedStatements ? 'prepared statement' : 'prepared statements disabled'

  t.test(`${name}: concurrent runs get their own rows`, async t => {
    const { prepare } = open(t, { preparedStatements })
    const twice = prepare(() => raw<{ twice: number }>('select $1::int * 2 as twice'))
    const numbers = Array.from({ length: 100 }, (_, index) => index)
    t.same(
      await Promise.all(numbers.map(number => twice(number))),
      numbers.map(number => [{ twice: number * 2 }]),
    )
  })

  t.test(`${name}: a failed run does not affect concurrent runs or the next run`, async t => {
    const { prepare } = open(t, { preparedStatements })
    const divide = prepare(() => raw<{ result: number }>('select 12 / $1::int as result'))
    const [three, failed, four] = await Promise.allSettled([divide(3), divide(0), divide(4)])
    t.match([three, four], [{ value: [{ result: 4 }] }, { value: [{ result: 3 }] }])
    t.match(failed, { reason: { code: '22012' } })
    t.same(await divide(6), [{ result: 2 }])
  })

  t.test(`${name}: a run that exceeds the statement timeout fails with DEADLINE_EXCEEDED`, async t => {
    const { prepare } = open(t, { preparedStatements, statementTimeoutMs: 50 })
    const sleep = prepare(() => raw('select pg_sleep($1)'))
    t.match(await statusOf(sleep(60)), { code: Code.DEADLINE_EXCEEDED })
    t.equal((await sleep(0)).length, 1)
  })

  t.test(`${name}: after a change of the table the rows have the new columns`, async t => {
    const { db, prepare } = open(t, { preparedStatements })
    await sql`create table changing (id int)`.execute(db)
    t.teardown(() => sql`drop table changing`.execute(db))
    await sql`insert into changing values (1)`.execute(db)
    const all = prepare(() => raw('select * from changing'))
    t.same(await all(), [{ id: 1 }])
    await sql`alter table changing add column name text default 'new'`.execute(db)
    t.same(await Promise.all([all(), all()]), [[{ id: 1, name: 'new' }], [{ id: 1, name: 'new' }]])
    t.same(await all(), [{ id: 1, name: 'new' }])
  })
}

const BACKEND = () => raw<{ pid: number }>('select pg_backend_pid() as pid')

t.test(
  'all statements in flight on a lost connection fail with UNAVAILABLE, and the next one uses a new connection',
  async t => {
    const { db, prepare } = open(t)
    const backend = prepare(BACKEND)
    const sleep = prepare(() => raw('select pg_sleep($1)'))
    const pid = (await backend())[0]?.pid
    const broken = [sleep(60), sleep(60), sleep(60)].map(statusOf)
    await sql`select pg_terminate_backend(${pid}, 5000)`.execute(db)
    for (const status of await Promise.all(broken)) t.match(status, { code: Code.UNAVAILABLE, reason: 'unavailable' })
    t.not((await backend())[0]?.pid, pid)
  },
)

t.test(
  'a statement to a server that does not respond fails with DEADLINE_EXCEEDED, and later ones succeed',
  async t => {
    const { prepare } = open(t, { statementTimeoutMs: 50 })
    const backend = prepare(BACKEND)
    const pid = (await backend())[0]?.pid ?? 0
    process.kill(pid, 'SIGSTOP')
    try {
      t.match(await statusOf(backend()), { code: Code.DEADLINE_EXCEEDED })
      t.not((await backend())[0]?.pid, pid, 'the next statement uses another connection')
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    t.equal((await backend()).length, 1)
  },
)

t.test('statements that wait for a lock do not delay statements on other connections', async t => {
  const { db, prepare } = open(t, { poolSize: 5 })
  const lock = prepare(() => raw('select pg_advisory_xact_lock_shared(4711)'))
  const backend = prepare(BACKEND)
  const held = await db.transaction().execute(async transaction => {
    await sql`select pg_advisory_xact_lock(4711)`.execute(transaction)
    const locks = Array.from({ length: 16 }, () => lock())
    t.equal((await backend()).length, 1)
    return { locks }
  })
  await Promise.all(held.locks)
})

t.test('close() waits for the statements in flight', async t => {
  const { prepare, close } = openDatabase({ url, schema: 'users', logger, poolSize: 3 })
  const sleep = prepare(() => raw('select pg_sleep($1)'))
  const last = sleep(0.1)
  await Promise.all([last, close()])
  t.equal((await last).length, 1)
})

t.test('each statement to an unreachable server fails with UNAVAILABLE', async t => {
  const { prepare } = open(t, { url: 'postgres://nobody@127.0.0.1:1/nothing' })
  const backend = prepare(BACKEND)
  t.match(await statusOf(backend()), { code: Code.UNAVAILABLE })
  t.match(await Promise.all([backend(), backend()].map(statusOf)), [
    { code: Code.UNAVAILABLE },
    { code: Code.UNAVAILABLE },
  ])
})
