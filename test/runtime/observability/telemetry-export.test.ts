import { context, SpanKind, trace } from '@opentelemetry/api'
import { type Kysely, sql } from 'kysely'
import { pino } from 'pino'
import t from 'tap'
import { withSpan } from '#runtime/observability/client-spans.ts'
import { acceptTrace, type RequestTrace } from '#runtime/observability/request-trace.ts'
import { childSpanContext, recordSpan } from '#runtime/observability/spans.ts'
import { startTelemetry } from '#runtime/observability/telemetry.ts'
import { openDatabase } from '#runtime/postgres/database.ts'
import { startOtlpReceiver } from '../../support/otlp-receiver.ts'
import { openTestDatabase } from '../../support/test-database.ts'
import { until } from '../../support/until.ts'

const receiver = await startOtlpReceiver(t)
const telemetry = await startTelemetry({
  service: 'test',
  endpoint: `${receiver.url}/`,
  exportDelayMs: 10,
  exportTimeoutMs: 2000,
})

const READ = { name: 'GET', attributes: { 'db.system.name': 'redis' } }

function end({ spanContext, parent, startedAt }: RequestTrace, name = 'request'): void {
  recordSpan({ name, kind: SpanKind.SERVER, spanContext, parent, startedAt, attributes: {} })
}

/** Ends the span of the request, waits for its export, and returns its child spans. */
async function childrenOf(request: RequestTrace) {
  end(request)
  await receiver.span(({ spanId }) => spanId === request.spanContext.spanId)
  return receiver.spans.filter(({ parentSpanId }) => parentSpanId === request.spanContext.spanId)
}

t.test('an exported span has the ids assigned at its start, and its start and end times', async t => {
  const before = BigInt(Date.now()) * 1_000_000n
  const request = acceptTrace('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00', 'a=1', 1)
  const spanContext = childSpanContext(request.spanContext)
  recordSpan({
    name: 'inner',
    kind: SpanKind.CLIENT,
    spanContext,
    parent: request.spanContext,
    startedAt: request.startedAt + 0.25,
    attributes: { some: 'thing', absent: undefined },
    errorType: 'BROKEN',
    events: [{ name: 'event', at: request.startedAt + 0.5, attributes: { number: 2 } }],
  })
  const [inner] = await childrenOf(request)
  t.match(inner, {
    service: 'test',
    traceId: request.spanContext.traceId,
    spanId: spanContext.spanId,
    traceState: 'a=1',
    name: 'inner',
    kind: 'SPAN_KIND_CLIENT',
    isError: true,
    events: [{ name: 'event', attributes: { number: 2 } }],
  })
  t.strictSame(inner?.attributes, { some: 'thing', 'error.type': 'BROKEN' })
  const outer = await receiver.span(({ spanId }) => spanId === request.spanContext.spanId)
  t.match(outer, { parentSpanId: 'b7ad6b7169203331', isError: false })
  t.equal(((inner?.start ?? 0n) - outer.start) / 1000n, 250n, 'the difference of 0.25 ms in microseconds')
  t.ok(outer.start > before - 20_000_000n && outer.end < BigInt(Date.now() + 20) * 1_000_000n)
})

t.test('withSpan returns the result or the error of the work and records an error in the span', async t => {
  const request = acceptTrace(undefined, undefined, 1)
  t.equal(await withSpan(request.spanContext, READ, async () => 'result'), 'result')
  await t.rejects(
    withSpan(request.spanContext, READ, async () => {
      throw new TypeError('not connected')
    }),
    /not connected/,
  )
  const children = await childrenOf(request)
  t.match(children, [
    { name: 'GET', kind: 'SPAN_KIND_CLIENT', isError: false },
    { name: 'GET', isError: true, attributes: { 'db.system.name': 'redis', 'error.type': 'TypeError' } },
  ])
})

t.test('no span is recorded below an unsampled span', async t => {
  const request = acceptTrace(undefined, undefined, 0)
  t.equal(await withSpan(request.spanContext, READ, async () => 1), 1)
  t.equal(await withSpan(undefined, READ, async () => 2), 2)
  t.strictSame(await childrenOf(request), [])
})

t.test('each SQL statement of a sampled trace has a span; the span of a failed statement has its SQLSTATE', async t => {
  const { userUrl: url } = await openTestDatabase(t)
  const { db, close } = openDatabase<{ users: { id: string; name: string } }>({
    url,
    schema: 'users',
    logger: pino({ level: 'silent' }),
    poolSize: 1,
  })
  t.teardown(() => close())
  const work = async (on: Kysely<{ users: { id: string; name: string } }>) => {
    await on.selectFrom('users as u').select('u.id').where('u.name', '=', 'a secret').execute()
    await on.updateTable('users').set({ name: 'another' }).where('name', '=', 'a secret').execute()
    await on.deleteFrom('users').where('name', '=', 'a secret').execute()
    await sql`select ${1}::int / 0`.execute(on)
  }
  const request = acceptTrace(undefined, undefined, 1)
  await context.with(request.context, async () => {
    await t.rejects(db.transaction().execute(work), /division by zero/)
  })
  await context.with(acceptTrace(undefined, undefined, 0).context, () => t.rejects(work(db)))
  await t.rejects(work(db), 'outside of a request')
  t.equal(trace.getSpan(context.active()), undefined)

  const statements = await childrenOf(request)
  t.strictSame(
    statements.map(({ name }) => name),
    ['BEGIN', 'SELECT users', 'UPDATE users', 'DELETE users', 'SELECT', 'ROLLBACK'],
  )
  t.match(statements[1]?.attributes, {
    'db.system.name': 'postgresql',
    'db.namespace': /^test_\w+\|users$/,
    'db.operation.name': 'SELECT',
    'db.collection.name': 'users',
    'db.query.text': 'select "u"."id" from "users" as "u" where "u"."name" = $1',
    'server.address': '127.0.0.1',
    'server.port': Number,
  })
  t.match(statements[4], {
    isError: true,
    attributes: { 'db.response.status_code': '22012', 'error.type': '22012' },
  })
  t.notMatch(JSON.stringify(statements.map(({ attributes }) => attributes)), 'a secret')
})

t.test('a collector that does not respond causes dropped spans, which are counted, and no delay', async t => {
  receiver.hang()
  t.equal(telemetry.droppedSpans(), 0)
  const requestsBefore = receiver.requests
  for (let i = 0; i < 5000; i++) end(acceptTrace(undefined, undefined, 1))
  const kept = 5000 - telemetry.droppedSpans()
  t.ok(kept >= 2048 && kept <= 2048 + 512, `${kept} spans are queued or being exported`)
  await telemetry.shutdown()
  t.ok(receiver.requests > requestsBefore, 'spans were sent to the collector')
  // The exports in flight time out and are counted, too.
  await until(
    async () => telemetry.droppedSpans(),
    dropped => dropped === 5000,
  )
})
