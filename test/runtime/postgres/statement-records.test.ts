import { context, trace } from '@opentelemetry/api'
import { sql } from 'kysely'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { continueTrace } from '#runtime/observability/request-trace.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import { openDatabase } from '#runtime/postgres/database.ts'
import { openTestDatabase } from '../../support/test-database.ts'
import { until } from '../../support/until.ts'

const { userUrl: url } = await openTestDatabase(t)
// Enables the context manager, which the trace id of a log line comes from.
const telemetry = await startTelemetry({ service: 'test', endpoint: undefined })
t.teardown(() => telemetry.shutdown())

interface Line {
  msg: string
  statement: string
  ms?: number
  plan?: string[]
  trace_id?: string
}

/** Opens a database with a logger like that of `createLogger`, which keeps the lines in memory. */
function open(t: Test, options: { slowStatementMs: number; planSlowStatements?: boolean }) {
  const lines: Line[] = []
  const logger = pino(
    {
      level: 'debug',
      mixin: () => {
        const span = trace.getSpanContext(context.active())
        return span === undefined ? {} : { trace_id: span.traceId }
      },
    },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  )
  const database = openDatabase<unknown>({ url, schema: 'users', logger, poolSize: 4, ...options })
  t.teardown(() => database.close())
  return { ...database, lines }
}

const SECRET = 'parameter value'
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'

const runSlowStatement = (database: ReturnType<typeof open>) =>
  sql`select id, pg_sleep(0.05) from users_all where email = ${SECRET} union all select null, pg_sleep(0.05)`.execute(
    database.db,
  )

t.test('a slow statement is logged with its duration and trace id, without parameter values', async t => {
  const database = open(t, { slowStatementMs: 40 })
  const { context: inTrace } = continueTrace(`00-${TRACE_ID}-00f067aa0ba902b7-00`, undefined)
  await context.with(inTrace, () => runSlowStatement(database))
  await sql`select 1`.execute(database.db)
  t.equal(database.lines.length, 1)
  t.match(database.lines[0], { msg: 'slow statement', statement: /select id, pg_sleep/, trace_id: TRACE_ID })
  t.ok((database.lines[0]?.ms ?? 0) >= 40)
  t.notMatch(JSON.stringify(database.lines), SECRET)
})

t.test('a slow prepared statement is logged', async t => {
  const database = open(t, { slowStatementMs: 40 })
  const sleep = database.prepare(() => sql`select pg_sleep(${0}::float8)`.compile(database.db))
  await sleep(0.05)
  t.match(database.lines, [{ msg: 'slow statement', statement: /pg_sleep/ }])
})

t.test('with planSlowStatements the plan of a slow statement is logged once, without parameter values', async t => {
  const database = open(t, { slowStatementMs: 40, planSlowStatements: true })
  await runSlowStatement(database)
  const plans = () => database.lines.filter(line => line.plan !== undefined)
  await until(
    async () => plans().length,
    count => count > 0,
  )
  await runSlowStatement(database)
  await sql`select 1`.execute(database.db)
  t.match(plans(), [{ msg: 'plan of a slow statement', plan: [/Append/] }])
  t.match(plans()[0]?.plan?.join('\n'), /users_all/)
  t.notMatch(JSON.stringify(database.lines), SECRET)
})

t.test('a failure to plan a slow statement is logged and has no other effect', async t => {
  const database = open(t, { slowStatementMs: 1, planSlowStatements: true })
  await sql`set statement_timeout = 2000`.execute(database.db)
  await sql`do $$ begin perform pg_sleep(0.02); end $$`.execute(database.db)
  await until(
    async () => database.lines.map(line => line.msg),
    messages => messages.includes('cannot plan slow statement'),
  )
  await database.ping()
})
