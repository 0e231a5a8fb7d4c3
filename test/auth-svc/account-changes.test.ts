import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { followAccountChanges } from '../../auth-svc/account-changes.ts'
import { createAccountRepository } from '../../auth-svc/accounts/account-repository.ts'
import { createRevocationStream } from '../../auth-svc/revocations/revocation-stream.ts'
import { createRevocations } from '../../auth-svc/revocations/revocations.ts'
import { until } from '../support/until.ts'
import { PASSWORD, startAuthSystem } from './auth-system.ts'

const logger = pino({ level: 'silent' })
const system = await startAuthSystem(t, { background: true })
const { database, revocations, signUp, login, refresh, principalOf, userSvc } = system
const { db } = database

const readSetAside = async () => {
  const metric = (await system.metrics.snapshot()).find(({ name }) => name === 'account_changes_set_aside_total')
  return metric?.values[0]?.value ?? 0
}
const readCursor = async () =>
  (await db.selectFrom('account_change_cursor').select('sequence').executeTakeFirstOrThrow()).sequence
const untilApplied = ({ sequence }: { sequence: bigint }) => until(readCursor, reached => reached >= sequence)
const revocationsOf = async (userId: string | undefined) =>
  (await callUnary(revocations, revocations.listRevocations, { pageSize: 0, pageToken: '' })).revocations.filter(
    ({ target }) => target?.value === userId,
  )

async function statusOf(userId: string): Promise<string | undefined> {
  const query = db.selectFrom('accounts').select('status').where('user_id', '=', userId)
  return (await query.executeTakeFirst())?.status
}

/** Inserts an account whose user is not in user-svc yet. */
async function insertPending(email: string): Promise<string> {
  const userId = randomUUID()
  const password = { hash: 'x', scheme: 'x' }
  await createAccountRepository(db).insertPending({ userId, email, password, role: 'user', name: '' })
  return userId
}

t.test('a change of role is applied to the account, and revokes the tokens with the old role', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  await untilApplied(userSvc.change({ userId, role: 'editor' }))
  const [revocation, ...more] = await revocationsOf(userId)
  t.same(more, [])
  t.equal(revocation?.target?.$case, 'userId')
  const notAfter = revocation?.notAfter?.getTime() ?? 0
  t.ok((await principalOf(tokens)).issuedAt <= notAfter)
  const principal = await principalOf(await refresh(tokens.refreshToken))
  t.equal(principal.role, 'editor', 'the session stays active')
  t.ok(principal.issuedAt > notAfter)
})

t.test('a change to the same role revokes no token', async t => {
  const { user } = await signUp()
  await untilApplied(userSvc.change({ userId: user?.id ?? '', role: 'user' }))
  t.same(await revocationsOf(user?.id), [])
})

t.test('a deactivated account is signed out, its tokens are revoked, and its e-mail address is free', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const email = tokens.user?.email ?? ''
  await untilApplied(userSvc.change({ userId, deactivated: true }))
  t.equal((await revocationsOf(userId)).length, 1)
  await t.rejects(refresh(tokens.refreshToken), { code: Code.UNAUTHENTICATED, reason: 'session_ended' })
  await t.rejects(login({ email }), { code: Code.UNAUTHENTICATED, reason: 'invalid_credentials' })
  const row = await db.selectFrom('accounts').selectAll().where('user_id', '=', userId).executeTakeFirst()
  t.match(row, { status: 'closed', email, password_hash: String }, 'it keeps its credentials, to be restored')
  const successor = await signUp({ email, password: PASSWORD })
  t.not(successor.user?.id, userId)
})

t.test(
  'a restored account signs in with its password and its current role, and its old sessions stay ended',
  async t => {
    const tokens = await signUp()
    const userId = tokens.user?.id ?? ''
    const email = tokens.user?.email ?? ''
    await untilApplied(userSvc.change({ userId, deactivated: true }))
    await untilApplied(userSvc.change({ userId, role: 'editor' }))
    t.match(await principalOf(await login({ email })), { userId, role: 'editor' })
    await t.rejects(refresh(tokens.refreshToken), { code: Code.UNAUTHENTICATED, reason: 'session_ended' })
  },
)

t.test('a deactivated account without credentials is not restored, and later changes are applied', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  await untilApplied(userSvc.change({ userId, deactivated: true }))
  const withoutCredentials = { email: null, password_hash: null, password_scheme: null }
  await db.updateTable('accounts').set(withoutCredentials).where('user_id', '=', userId).execute()
  await untilApplied(userSvc.change({ userId }))
  t.equal(await statusOf(userId), 'closed')
})

t.test('a pending account loses its e-mail address to a restored account', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  const email = user?.email ?? ''
  await untilApplied(userSvc.change({ userId, deactivated: true }))
  const other = await insertPending(email)
  await untilApplied(userSvc.change({ userId }))
  t.equal(await statusOf(other), undefined)
  t.match((await login({ email })).user, { id: userId })
})

t.test('a pending account whose user was deactivated loses its e-mail address to a restored account', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  const email = user?.email ?? ''
  await untilApplied(userSvc.change({ userId, deactivated: true }))
  const other = await insertPending(email)
  userSvc.deactivated.add(other)
  await untilApplied(userSvc.change({ userId }))
  t.equal(await statusOf(other), 'closed')
  t.match((await login({ email })).user, { id: userId })
})

t.test(
  'an account whose e-mail address belongs to another user is not restored, and later changes are applied',
  async t => {
    const { user } = await signUp()
    const userId = user?.id ?? ''
    const email = user?.email ?? ''
    await untilApplied(userSvc.change({ userId, deactivated: true }))
    const other = await insertPending(email)
    // Restored and deactivated again. auth-svc receives the first change when user-svc already has the other user.
    userSvc.change({ userId })
    await untilApplied(userSvc.change({ userId, deactivated: true }))
    t.equal(await statusOf(userId), 'closed')
    t.equal(await statusOf(other), 'active')
  },
)

t.test(
  'an erased account and its sessions keep no personal data, and the erasure is confirmed to user-svc',
  async t => {
    const tokens = await signUp()
    const userId = tokens.user?.id ?? ''
    const email = tokens.user?.email ?? ''
    await untilApplied(userSvc.change({ userId, deactivated: true, erased: true }))
    const row = await db.selectFrom('accounts').selectAll().where('user_id', '=', userId).executeTakeFirstOrThrow()
    t.match(row, { status: 'closed', email: null, password_hash: null, password_scheme: null, erased_at: Date })
    const sessions = await db.selectFrom('sessions').selectAll().where('user_id', '=', userId).execute()
    t.match(sessions, [{ user_agent: '', address: '', end_reason: 'closed' }])
    t.same(userSvc.confirmed, [userId])
    t.equal((await revocationsOf(userId)).length, 1)
    t.not((await signUp({ email })).user?.id, userId, 'its e-mail address is free')

    await untilApplied(userSvc.change({ userId }))
    t.equal(await statusOf(userId), 'closed', 'it cannot be restored')
  },
)

t.test('an erasure whose confirmation failed is confirmed again before the cursor advances', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  userSvc.failing.confirmations = 1
  await untilApplied(userSvc.change({ userId, deactivated: true, erased: true }))
  t.equal(userSvc.failing.confirmations, 0)
  t.ok(userSvc.confirmed.includes(userId))
})

t.test('a change of an unknown user is skipped', async t => {
  await untilApplied(userSvc.change({ userId: '0190c0de-0000-7000-8000-000000000002', role: 'admin' }))
  t.pass()
})

t.test('changes made while user-svc was unreachable are applied after it has recovered', async t => {
  const { user } = await signUp()
  await userSvc.stop()
  const change = userSvc.change({ userId: user?.id ?? '', role: 'moderator' })
  await userSvc.restart()
  await untilApplied(change)
  t.equal((await principalOf(await login({ email: user?.email ?? '' }))).role, 'moderator')
})

/** Makes every change of the account fail. @returns a function that repairs it. */
async function poison(userId: string): Promise<() => Promise<void>> {
  const name = `poison_${userId.replaceAll('-', '_')}`
  const body = `begin
    if old.user_id = '${userId}' then raise exception 'poisoned'; end if;
    return new;
  end`
  await sql`create function ${sql.raw(name)}() returns trigger language plpgsql as ${sql.lit(body)}`.execute(db)
  await sql`create trigger ${sql.raw(name)} before update on accounts for each row execute function ${sql.raw(name)}()`.execute(
    db,
  )
  return async () => {
    await sql`drop function ${sql.raw(name)} cascade`.execute(db)
  }
}

const listFailed = (userId: string) =>
  db.selectFrom('failed_account_changes').selectAll().where('user_id', '=', userId).execute()

/** A second follower, whose retries do not wait for a minute. */
function followWithRetries(t: Test, onSetAside = () => {}) {
  const follower = followAccountChanges({
    db,
    users: { watchChanges: async function* () {}, confirmErasure: async () => {} },
    signUp: { complete: async () => undefined },
    revocations: createRevocations({ db, stream: createRevocationStream(system.redis), logger, tokenTtlMs: 1000 }),
    logger,
    onSetAside,
    retryMs: 20,
  })
  t.teardown(() => follower.stop())
}

t.test('a change that fails five times is set aside and counted, and later changes are applied', async t => {
  const [poisoned, other] = [await signUp(), await signUp()]
  const userId = poisoned.user?.id ?? ''
  const repair = await poison(userId)
  const before = await readSetAside()
  const { sequence } = userSvc.change({ userId, deactivated: true })
  await untilApplied(userSvc.change({ userId: other.user?.id ?? '', role: 'editor' }))
  t.equal((await principalOf(await login({ email: other.user?.email ?? '' }))).role, 'editor')
  t.match(await listFailed(userId), [{ sequence, closed: true, attempts: 5, error: /poisoned/ }])
  t.equal((await readSetAside()) - before, 1)

  await repair()
  followWithRetries(t)
  await until(
    () => listFailed(userId),
    failed => failed.length === 0,
  )
  t.equal(await statusOf(userId), 'closed', 'it is applied once it succeeds')
})

t.test('a change that was set aside is not applied after a later change of the same user', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  const repair = await poison(userId)
  await untilApplied(userSvc.change({ userId, deactivated: true }))
  await repair()
  await untilApplied(userSvc.change({ userId, role: 'editor' }))
  t.same(await listFailed(userId), [])
  followWithRetries(t)
  t.match((await login({ email: user?.email ?? '' })).user, { id: userId })
})

t.test('an erasure that user-svc never confirms is set aside, and later changes are applied', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  userSvc.failing.with = Code.INTERNAL
  userSvc.failing.confirmations = 5
  await untilApplied(userSvc.change({ userId, deactivated: true, erased: true }))
  userSvc.failing.with = Code.UNAVAILABLE
  t.match(await listFailed(userId), [{ erased: true, attempts: 5 }])
})

t.test('a failure of user-svc does not count as an attempt', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  userSvc.failing.confirmations = 7
  await untilApplied(userSvc.change({ userId, deactivated: true, erased: true }))
  t.equal(userSvc.failing.confirmations, 0)
  t.same(await listFailed(userId), [])
})

t.test('several replicas apply each change once', async t => {
  const { user } = await signUp()
  const stream = createRevocationStream(system.redis)
  const replicas = Array.from({ length: 3 }, () =>
    followAccountChanges({
      db,
      users: { watchChanges: (sequence, signal) => replay(sequence, signal), confirmErasure: async () => {} },
      signUp: { complete: async () => undefined },
      revocations: createRevocations({ db, stream, logger, tokenTtlMs: 1000 }),
      logger,
      onSetAside: () => {},
    }),
  )
  // Every replica receives the change repeatedly.
  const change = userSvc.change({ userId: user?.id ?? '', role: 'editor' })
  async function* replay(_: bigint, signal: AbortSignal) {
    while (!signal.aborted) {
      await new Promise(resolve => setImmediate(resolve))
      yield change
    }
  }
  await untilApplied(change)
  await Promise.all(replicas.map(replica => replica.stop()))
  t.equal((await revocationsOf(user?.id)).length, 1)
})

t.test('the background tasks stop, even if they have only just started', async t => {
  const background = await system.server.startBackground()
  await background.stop()
  t.pass('stopped')
})
