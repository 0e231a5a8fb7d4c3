import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { pino } from 'pino'
import t from 'tap'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import { REVOCATION_EPOCH, REVOCATION_HEARTBEAT, REVOCATION_STREAM } from '#runtime/auth/revocation-stream.ts'
import { callUnary } from '#runtime/grpc/client.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { Code } from '#runtime/status.ts'
import { createRevocationStream } from '../../../auth-svc/revocations/revocation-stream.ts'
import { createRevocations } from '../../../auth-svc/revocations/revocations.ts'
import { openTestRedis, startTestRedis } from '../../support/test-redis.ts'
import { until } from '../../support/until.ts'
import { openAuthDatabase, startAuthSystem } from '../auth-system.ts'

const logger = pino({ level: 'silent' })
const TTL_MS = 900_000

const { db } = await openAuthDatabase(t)
const redis = createRedis((await openTestRedis(t)).url, logger)
t.teardown(() => redis.disconnect())
const revocations = createRevocations({ db, stream: createRevocationStream(redis), logger, tokenTtlMs: TTL_MS })

const readStream = async (from = redis) =>
  (await from.xrange(REVOCATION_STREAM, '-', '+')).map(([, fields]) => {
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

t.test('a published revocation has the stream fields that gateways read', async t => {
  const [session, user] = [await revokeSession(randomUUID()), await revokeUser(randomUUID())]
  await revocations.publish([session, user])
  t.same(await readStream(), [
    { kind: 'sid', id: session.target, expires_at: String(session.expiresAt.getTime()) },
    {
      kind: 'user',
      id: user.target,
      expires_at: String(user.expiresAt.getTime()),
      not_after: String(user.notAfter?.getTime()),
    },
  ])
  t.ok(session.expiresAt.getTime() >= Date.now() + TTL_MS, 'the revocation does not expire before a token issued now')
  await revocations.publishPending()
  t.equal((await readStream()).length, 2, 'it is not published twice')
})

t.test('revocations left unpublished by a crash are published by the next pass', async t => {
  const [one, other] = [await revokeSession(randomUUID()), await revokeSession(randomUUID())]
  await revocations.publishPending()
  t.same(
    (await readStream()).map(({ id }) => id),
    [one.target, other.target],
  )
  await revocations.publishPending()
  t.equal((await readStream()).length, 2)
})

t.test('concurrent publishing passes publish every revocation', async t => {
  const ids = await Promise.all(Array.from({ length: 50 }, async () => (await revokeSession(randomUUID())).target))
  await Promise.all(Array.from({ length: 4 }, () => revocations.publishPending()))
  t.same(new Set((await readStream()).map(({ id }) => id)), new Set(ids))
})

t.test('the stream keeps its epoch, and has a new one after Redis lost all data', async t => {
  await revocations.publishPending()
  const epoch = await redis.get(REVOCATION_EPOCH)
  t.match(epoch, /^[0-9a-f-]{36}$/)
  await revocations.publishPending()
  t.equal(await redis.get(REVOCATION_EPOCH), epoch)
  await redis.flushdb()
  await revocations.publishPending()
  t.match(await redis.get(REVOCATION_EPOCH), /^[0-9a-f-]{36}$/)
  t.not(await redis.get(REVOCATION_EPOCH), epoch)
})

t.test('the heartbeat is the start time of a publishing pass that left no revocation unpublished', async t => {
  const before = Date.now()
  await revocations.publishPending()
  const first = Number(await redis.get(REVOCATION_HEARTBEAT))
  t.ok(first >= before - 1 && first <= Date.now() + 1, 'by the clock of Redis, which runs on this machine')

  const target = (await revokeSession(randomUUID())).target
  await db.transaction().execute(async other => {
    // Another process has locked the row to publish it.
    await other.selectFrom('revocations').select('id').where('target', '=', target).forUpdate().execute()
    await revocations.publishPending()
    t.equal(
      Number(await redis.get(REVOCATION_HEARTBEAT)),
      first,
      'there is no new heartbeat while a revocation is unpublished',
    )
  })
  await revocations.publishPending()
  t.ok(Number(await redis.get(REVOCATION_HEARTBEAT)) > first)
  t.same(
    (await readStream()).map(({ id }) => id),
    [target],
  )
})

t.test('a publishing pass that fails writes no heartbeat', async t => {
  await revocations.publishPending()
  const first = await redis.get(REVOCATION_HEARTBEAT)
  await revokeSession(randomUUID())
  const broken = { ...createRevocationStream(redis), append: () => Promise.reject(new Error('append failed')) }
  await t.rejects(createRevocations({ db, stream: broken, logger, tokenTtlMs: TTL_MS }).publishPending(), {
    message: 'append failed',
  })
  t.equal(await redis.get(REVOCATION_HEARTBEAT), first)
})

t.test('a snapshot lists unexpired revocations only, and expired ones are deleted', async t => {
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

t.test('a revocation in a transaction that is rolled back is never published', async t => {
  const failing = db.transaction().execute(async transaction => {
    await revocations.revokeSession(transaction, randomUUID())
    throw new Error('rolled back')
  })
  await t.rejects(failing, { message: 'rolled back' })
  await revocations.publishPending()
  t.same((await revocations.list()).revocations, [])
  t.same(await readStream(), [])
})

t.test('revocations of a running auth-svc', async t => {
  const server = await startTestRedis(t)
  const system = await startAuthSystem(t, { redisUrl: server.url, background: true })
  const { auth, signUp, login, principalOf } = system
  const page = (pageSize: number, pageToken = '') =>
    callUnary(system.revocations, system.revocations.listRevocations, { pageSize, pageToken }, { timeoutMs: 20_000 })
  const snapshot = async (): Promise<Revocation[]> => (await page(0)).revocations
  const tokens = await signUp()
  const email = tokens.user?.email ?? ''

  t.test('a snapshot of 100,000 revocations fits into one response, and equals the pages', async t => {
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
    t.same(targetsOf(byPages), targetsOf(whole), 'all pages together have the same revocations')
    await t.rejects(page(10, 'x'), { code: Code.INVALID_ARGUMENT })
    await sql`delete from revocations`.execute(system.database.db)
  })

  t.test('the revocation of a logout is in the stream before the response', async t => {
    const other = await login({ email })
    const { sessionId } = await principalOf(other)
    await callUnary(
      auth,
      auth.logout,
      { refreshToken: other.refreshToken ?? '', refreshCookie: '' },
      { timeoutMs: 5000 },
    )
    t.equal((await readStream(system.redis)).at(-1)?.['id'], sessionId)
    t.match((await snapshot()).at(-1), { target: { $case: 'sessionId', value: sessionId } })
    await until(
      () => system.redis.get(REVOCATION_EPOCH),
      epoch => epoch !== null,
    )
  })

  t.test('a revocation written while Redis is unavailable is published after Redis has recovered', async t => {
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
      () => readStream(system.redis).catch(() => []),
      entries => entries.some(({ id }) => id === sessionId),
    )
  })
})
