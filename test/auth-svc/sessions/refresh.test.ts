import { Writable } from 'node:stream'
import { sql } from 'kysely'
import { pino } from 'pino'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { createRedis } from '#runtime/process/redis.ts'
import { Code } from '#runtime/status.ts'
import { familyKey } from '../../../auth-svc/sessions/refresh-families.ts'
import { startTestRedis } from '../../support/test-redis.ts'
import { type AuthSystem, startAuthSystem } from '../auth-system.ts'
import { logger as silent } from '../silent-logger.ts'

const reused = { code: Code.UNAUTHENTICATED, reason: 'refresh_token_reused' }
const ended = { code: Code.UNAUTHENTICATED, reason: 'session_ended' }
const invalid = { code: Code.UNAUTHENTICATED, reason: 'refresh_token_invalid' }

/** Time passes for the session's family. */
async function pass({ redis, principalOf }: AuthSystem, tokens: { accessToken: string }, ms: number): Promise<void> {
  const { sessionId } = await principalOf(tokens as never)
  await redis.hincrby(familyKey(sessionId), 'rotated_at', -ms)
}

t.test('refreshing', async t => {
  const system = await startAuthSystem(t)
  const { auth, database, redis, revocations, signUp, login, refresh, principalOf, userSvc } = system
  const { db } = database
  const revoked = async () =>
    (await callUnary(revocations, revocations.listRevocations, { pageSize: 0, pageToken: '' })).revocations

  t.test('gives new tokens of the same session, without the user', async t => {
    const first = await signUp()
    const second = await refresh(first.refreshToken)
    t.match(second, { tokenType: 'Bearer', expiresIn: 900, user: undefined, refreshExpiresIn: 7 * 24 * 3600 })
    t.not(second.refreshToken, first.refreshToken)
    t.not(second.accessToken, first.accessToken)
    const [before, after] = [await principalOf(first), await principalOf(second)]
    t.equal(after.sessionId, before.sessionId)
    t.equal(after.authenticatedAt, before.authenticatedAt, 'refreshing does not prove who one is')
    t.ok(after.issuedAt >= before.issuedAt)
  })

  t.test('answers in the place that the token came from', async t => {
    const { refreshToken = '' } = await signUp()
    const byCookie = await callUnary(auth, auth.refresh, { refreshToken: '', refreshCookie: refreshToken })
    t.match(byCookie, { refreshToken: undefined, refreshCookie: String })
    const cookie = byCookie.refreshCookie ?? ''
    t.match(await callUnary(auth, auth.refresh, { refreshToken: cookie, refreshCookie: 'another' }), {
      refreshToken: String,
      refreshCookie: undefined,
    })
  })

  t.test('again with the same token, soon, gives the same successor', async t => {
    const { refreshToken } = await signUp()
    const successor = await refresh(refreshToken)
    t.equal((await refresh(refreshToken)).refreshToken, successor.refreshToken)
    t.equal((await refresh(refreshToken)).refreshToken, successor.refreshToken)
    await refresh(successor.refreshToken)
  })

  t.test('fifty times at once with one token gives one successor, and the session lives', async t => {
    const { refreshToken } = await signUp()
    const all = await Promise.all(Array.from({ length: 50 }, () => refresh(refreshToken)))
    t.equal(new Set(all.map(tokens => tokens.refreshToken)).size, 1)
    const next = await refresh(all[0]?.refreshToken)
    await refresh(next.refreshToken)
  })

  t.test('with a token whose successor was used ends every session of the user, and revokes', async t => {
    const first = await signUp()
    const elsewhere = await login({ email: first.user?.email ?? '' })
    const stranger = await signUp()
    const second = await refresh(first.refreshToken)
    const third = await refresh(second.refreshToken)

    await t.rejects(refresh(first.refreshToken), reused)
    for (const tokens of [third, second, elsewhere]) await t.rejects(refresh(tokens.refreshToken), ended)
    await refresh(stranger.refreshToken)

    const entry = (await revoked()).find(({ target }) => target?.value === first.user?.id)
    t.equal(entry?.target?.$case, 'userId')
    for (const tokens of [first, second, third, elsewhere]) {
      const { issuedAt, expiresAt } = await principalOf(tokens)
      t.ok(issuedAt <= (entry?.notAfter?.getTime() ?? 0), 'a token of before is revoked')
      t.ok(expiresAt <= (entry?.expiresAt?.getTime() ?? 0), 'for as long as it would be good')
    }
    const fresh = await login({ email: first.user?.email ?? '' })
    t.ok((await principalOf(fresh)).issuedAt > (entry?.notAfter?.getTime() ?? 0), 'a token of after is not')
    await refresh(fresh.refreshToken)
  })

  t.test('with the token before, too late, is a reuse too', async t => {
    const first = await signUp()
    const second = await refresh(first.refreshToken)
    await pass(system, first, 9_000)
    t.equal((await refresh(first.refreshToken)).refreshToken, second.refreshToken)
    await pass(system, first, 2_000)
    await t.rejects(refresh(first.refreshToken), reused)
    await t.rejects(refresh(second.refreshToken), ended)
  })

  t.test('with what is no token of ours is refused, and does not get as far as Redis', async t => {
    const { refreshToken = '' } = await signUp()
    const [session, , mac] = refreshToken.split('.')
    const other = (await signUp()).refreshToken?.split('.') ?? []
    const commands: string[] = []
    const monitor = await redis.monitor()
    monitor.on('monitor', (_time: string, [command = '']: string[]) => commands.push(command.toLowerCase()))
    const forged = [
      '',
      'rubbish',
      `${session}.2.${mac}`,
      `${session}.1.${other[2]}`,
      `${other[0]}.1.${mac}`,
      `${Buffer.alloc(16, 1).toString('base64url')}.1.${mac}`,
    ]
    for (const text of forged) await t.rejects(refresh(text), invalid, text)
    await redis.echo('end')
    await new Promise<void>(resolve => {
      const look = () => (commands.includes('echo') ? resolve() : void setImmediate(look))
      look()
    })
    monitor.disconnect()
    t.same(
      commands.filter(command => command.startsWith('eval')),
      [],
    )
    await refresh(refreshToken)
  })

  t.test('takes the account as it is now', async t => {
    const tokens = await signUp()
    await db
      .updateTable('accounts')
      .set({ role: 'moderator' })
      .where('user_id', '=', tokens.user?.id ?? '')
      .execute()
    t.equal((await principalOf(await refresh(tokens.refreshToken))).role, 'moderator')
  })

  t.test('goes on while user-svc is away', async t => {
    const { refreshToken } = await signUp()
    await userSvc.stop()
    t.ok((await refresh(refreshToken)).accessToken)
    await userSvc.restart()
  })

  t.test('ends with the session, however often it is done', async t => {
    const tokens = await signUp()
    const { sessionId } = await principalOf(tokens)
    await db
      .updateTable('sessions')
      .set({ expires_at: sql`now() + interval '1 hour 500 milliseconds'` })
      .where('id', '=', sessionId)
      .execute()
    const next = await refresh(tokens.refreshToken)
    t.ok(next.refreshExpiresIn <= 3600 && next.refreshExpiresIn > 3590)
    t.ok((await redis.pttl(familyKey(sessionId))) <= 3_600_500)
    await db
      .updateTable('sessions')
      .set({ expires_at: sql`now() + interval '10 seconds'` })
      .where('id', '=', sessionId)
      .execute()
    const last = await refresh(next.refreshToken)
    t.ok(last.expiresIn <= 10, 'and so does its last access token')
    await db.updateTable('sessions').set({ expires_at: sql`now()` }).where('id', '=', sessionId).execute()
    await t.rejects(refresh(last.refreshToken), ended)
  })

  t.test('after Redis has lost everything: sign in again, and nothing comes back to life', async t => {
    const first = await signUp()
    const second = await refresh(first.refreshToken)
    await redis.flushdb()
    for (const tokens of [first, second]) await t.rejects(refresh(tokens.refreshToken), ended)
    const fresh = await login({ email: first.user?.email ?? '' })
    await refresh(fresh.refreshToken)
    for (const tokens of [first, second]) await t.rejects(refresh(tokens.refreshToken), ended)
  })
})

t.test('the narrow scope ends the session alone', async t => {
  const { revocations, signUp, login, refresh, principalOf } = await startAuthSystem(t, {
    settings: { REUSE_SCOPE: 'session' },
  })
  const first = await signUp()
  const elsewhere = await login({ email: first.user?.email ?? '' })
  const second = await refresh(first.refreshToken)
  const third = await refresh(second.refreshToken)
  await t.rejects(refresh(first.refreshToken), reused)
  await t.rejects(refresh(third.refreshToken), ended)
  await refresh(elsewhere.refreshToken)
  const { sessionId } = await principalOf(first)
  t.match((await callUnary(revocations, revocations.listRevocations, { pageSize: 0, pageToken: '' })).revocations, [
    { target: { $case: 'sessionId', value: sessionId } },
  ])
})

t.test('a reuse is told in the log with its class, and with no token', async t => {
  const lines: string[] = []
  const logger = pino({}, new Writable({ write: (chunk, _, done) => done(void lines.push(String(chunk))) }))
  const system = await startAuthSystem(t, { logger })
  const { signUp, refresh } = system

  for (const [expected, ms, times] of [
    ['recent', 11_000, 1],
    ['stale', 61_000, 1],
    ['unknown', 0, 2],
  ] as const) {
    const first = await signUp()
    let latest = first
    for (let i = 0; i < times; i++) latest = await refresh(latest.refreshToken)
    await pass(system, first, ms)
    lines.length = 0
    await t.rejects(refresh(first.refreshToken), reused)
    const line = lines.map(text => JSON.parse(text)).find(({ msg }) => msg === 'a refresh token was used again')
    t.match(line, { level: 40, reuse: expected, userId: first.user?.id, scope: 'user' })
    t.notOk(lines.join().includes(first.refreshToken ?? ''))
  }
})

t.test('while Redis is gone', async t => {
  const server = await startTestRedis(t)
  const { signUp, login, refresh, redis } = await startAuthSystem(t, { redisUrl: server.url })
  const first = await signUp()
  await server.kill()
  await t.rejects(refresh(first.refreshToken), { code: Code.UNAVAILABLE })
  await t.rejects(login({ email: first.user?.email ?? '' }), { code: Code.UNAVAILABLE })
  await server.restart()
  if (redis.status !== 'ready') await new Promise(resolve => redis.once('ready', resolve))
  const second = await refresh(first.refreshToken)
  await refresh(second.refreshToken)
  t.pass('the same token works afterwards')

  const other = createRedis(server.url, silent)
  t.teardown(() => other.disconnect())
  await other.flushall()
  await t.rejects(refresh(second.refreshToken), ended)
})
