import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { Code } from '#runtime/status.ts'
import { createRevocationStream } from '../../../auth-svc/revocations/revocation-stream.ts'
import { createRevocations } from '../../../auth-svc/revocations/revocations.ts'
import { openTestRedis, startTestRedis } from '../../support/test-redis.ts'
import { until } from '../../support/until.ts'
import { openAuthDatabase } from '../auth-database.ts'
import { startAuthSystem } from '../auth-system.ts'
import { logger } from '../silent-logger.ts'

const STREAM = 'gatehouse:revocations'
const EPOCH = 'gatehouse:revocations:epoch'
const HEARTBEAT = 'gatehouse:revocations:heartbeat'
const TTL_MS = 900_000

const { db } = await openAuthDatabase(t)
const redis = createRedis((await openTestRedis(t)).url, logger)
t.teardown(() => redis.disconnect())
const revocations = createRevocations({ db, stream: createRevocationStream(redis), logger, tokenTtlMs: TTL_MS })

const streamed = async (from = redis) =>
  (await from.xrange(STREAM, '-', '+')).map(([, fields]) => {
    const entry: Record<string, string> = {}
    for (let i = 0; i < fields.length; i += 2) entry[fields[i] as string] = fields[i + 1] as string
    return entry
  })
const targetsOf = (list: Revocation[]) => new Set(list.map(({ target }) => target?.value))
const revokeSession = (id: string) => db.transaction().execute(tx => revocations.revokeSession(tx, id))
const revokeUser = (id: string) => db.transaction().execute(tx => revocations.revokeUser(tx, id))
t.beforeEach(async () => {
  await db.deleteFrom('revocations').execute()
  await redis.flushdb()
})

t.test('a revocation goes to the stream as gateways read it', async t => {
  const [session, user] = [await revokeSession(randomUUID()), await revokeUser(randomUUID())]
  await revocations.publish([session, user])
  t.same(await streamed(), [
    { kind: 'sid', id: session.target, expires_at: String(session.expiresAt.getTime()) },
    {
      kind: 'user',
      id: user.target,
      expires_at: String(user.expiresAt.getTime()),
      not_after: String(user.notAfter?.getTime()),
    },
  ])
  t.ok(session.expiresAt.getTime() >= Date.now() + TTL_MS, 'for as long as a token of now is good')
  await revocations.sweep()
  t.equal((await streamed()).length, 2, 'once')
})

t.test('what a crash kept from the stream, the sweep sends', async t => {
  const [one, other] = [await revokeSession(randomUUID()), await revokeSession(randomUUID())]
  await revocations.sweep()
  t.same(
    (await streamed()).map(({ id }) => id),
    [one.target, other.target],
  )
  await revocations.sweep()
  t.equal((await streamed()).length, 2)
})

t.test('several sweeps at once send all and lose none', async t => {
  const ids = await Promise.all(Array.from({ length: 50 }, async () => (await revokeSession(randomUUID())).target))
  await Promise.all(Array.from({ length: 4 }, () => revocations.sweep()))
  t.same(new Set((await streamed()).map(({ id }) => id)), new Set(ids))
})

t.test('the stream has an epoch, and gets another when it has lost everything', async t => {
  await revocations.sweep()
  const epoch = await redis.get(EPOCH)
  t.match(epoch, /^[0-9a-f-]{36}$/)
  await revocations.sweep()
  t.equal(await redis.get(EPOCH), epoch)
  await redis.flushdb()
  await revocations.sweep()
  t.match(await redis.get(EPOCH), /^[0-9a-f-]{36}$/)
  t.not(await redis.get(EPOCH), epoch)
})

t.test('a sweep vouches for what was committed when it began, once all of it is sent', async t => {
  const before = Date.now()
  await revocations.sweep()
  const first = Number(await redis.get(HEARTBEAT))
  t.ok(first >= before - 1 && first <= Date.now() + 1, 'by the clock of Redis, which is ours here')

  const target = (await revokeSession(randomUUID())).target
  await db.transaction().execute(async other => {
    // As when another process is sending it, and hangs.
    await other.selectFrom('revocations').select('id').where('target', '=', target).forUpdate().execute()
    await revocations.sweep()
    t.equal(Number(await redis.get(HEARTBEAT)), first, 'what another process has yet to send is not vouched for')
  })
  await revocations.sweep()
  t.ok(Number(await redis.get(HEARTBEAT)) > first)
  t.same(
    (await streamed()).map(({ id }) => id),
    [target],
  )
})

t.test('a sweep that cannot send does not vouch', async t => {
  await revocations.sweep()
  const first = await redis.get(HEARTBEAT)
  await revokeSession(randomUUID())
  const broken = { ...createRevocationStream(redis), append: () => Promise.reject(new Error('no')) }
  await t.rejects(createRevocations({ db, stream: broken, logger, tokenTtlMs: TTL_MS }).sweep(), { message: 'no' })
  t.equal(await redis.get(HEARTBEAT), first)
})

t.test('a snapshot has what is in force, and nothing that has expired', async t => {
  const session = await revokeSession(randomUUID())
  const expired = await revokeSession(randomUUID())
  await db.updateTable('revocations').set({ expires_at: sql`now()` }).where('target', '=', expired.target).execute()
  t.same(
    (await revocations.list()).revocations.map(({ target }) => target),
    [session.target],
  )
  await revocations.deleteExpired()
  const rows = await db.selectFrom('revocations').select('target').execute()
  t.same(rows, [{ target: session.target }])
})

t.test('a fact that is rolled back revokes nothing', async t => {
  const failing = db.transaction().execute(async transaction => {
    await revocations.revokeSession(transaction, randomUUID())
    throw new Error('no')
  })
  await t.rejects(failing, { message: 'no' })
  await revocations.sweep()
  t.same((await revocations.list()).revocations, [])
  t.same(await streamed(), [])
})

t.test('of a running service', async t => {
  const server = await startTestRedis(t)
  const system = await startAuthSystem(t, { redisUrl: server.url, background: true })
  const { auth, signUp, login, principalOf } = system
  const page = (pageSize: number, pageToken = '') =>
    callUnary(system.revocations, system.revocations.listRevocations, { pageSize, pageToken }, { timeoutMs: 20_000 })
  const snapshot = async (): Promise<Revocation[]> => (await page(0)).revocations
  const tokens = await signUp()
  const email = tokens.user?.email ?? ''

  t.test('a snapshot of 100,000 fits into an answer', async t => {
    await sql`
      insert into revocations (kind, target, expires_at, published_at)
      select 'sid', gen_random_uuid(), now() + interval '1 hour', now() from generate_series(1, 100000)`.execute(
      system.database.db,
    )
    const whole = await snapshot()
    t.equal(whole.length, 100_000)

    const byPages: Revocation[] = []
    for (let pageToken: string | undefined; pageToken !== ''; ) {
      const { revocations: part, nextPageToken } = await page(1000, pageToken)
      t.ok(part.length <= 1000)
      byPages.push(...part)
      pageToken = nextPageToken
    }
    t.same(targetsOf(byPages), targetsOf(whole), 'page by page it is the same')
    await t.rejects(page(10, 'x'), { code: Code.INVALID_ARGUMENT })
    await sql`delete from revocations`.execute(system.database.db)
  })

  t.test('the stream has it by the time that logout answers', async t => {
    const other = await login({ email })
    const { sessionId } = await principalOf(other)
    await callUnary(
      auth,
      auth.logout,
      { refreshToken: other.refreshToken ?? '', refreshCookie: '' },
      { timeoutMs: 5000 },
    )
    t.equal((await streamed(system.redis)).at(-1)?.['id'], sessionId)
    t.match((await snapshot()).at(-1), { target: { $case: 'sessionId', value: sessionId } })
    await until(
      () => system.redis.get(EPOCH),
      epoch => epoch !== null,
    )
  })

  t.test('what happens while Redis is gone is sent when it is back', async t => {
    const other = await login({ email })
    const { sessionId } = await principalOf(other)
    await server.kill()
    await callUnary(
      auth,
      auth.logout,
      { refreshToken: other.refreshToken ?? '', refreshCookie: '' },
      { timeoutMs: 5000 },
    )
    t.match((await snapshot()).at(-1), { target: { $case: 'sessionId', value: sessionId } })
    await server.restart()
    await until(
      () => streamed(system.redis).catch(() => []),
      entries => entries.some(({ id }) => id === sessionId),
    )
  })
})
