import { randomUUID } from 'node:crypto'
import t from 'tap'
import { callUnary } from '#runtime/grpc/client.ts'
import { Code } from '#runtime/status.ts'
import { followAccountChanges } from '../../auth-svc/account-changes.ts'
import { createAccountRepository } from '../../auth-svc/accounts/account-repository.ts'
import { createRevocationStream } from '../../auth-svc/revocations/revocation-stream.ts'
import { createRevocations } from '../../auth-svc/revocations/revocations.ts'
import { until } from '../support/until.ts'
import { PASSWORD, startAuthSystem } from './auth-system.ts'
import { logger } from './silent-logger.ts'

const system = await startAuthSystem(t, { background: true })
const { database, revocations, signUp, login, refresh, principalOf, userSvc } = system
const { db } = database

const cursor = async () =>
  (await db.selectFrom('account_change_cursor').select('sequence').executeTakeFirstOrThrow()).sequence
const applied = ({ sequence }: { sequence: bigint }) => until(cursor, reached => reached >= sequence)
const revokedOf = async (userId: string | undefined) =>
  (await callUnary(revocations, revocations.listRevocations, { pageSize: 0, pageToken: '' })).revocations.filter(
    ({ target }) => target?.value === userId,
  )

async function statusOf(userId: string): Promise<string | undefined> {
  const query = db.selectFrom('accounts').select('status').where('user_id', '=', userId)
  return (await query.executeTakeFirst())?.status
}

/** A sign-up that has yet to reach user-svc. */
async function insertPending(email: string): Promise<string> {
  const userId = randomUUID()
  const password = { hash: 'x', scheme: 'x' }
  await createAccountRepository(db).insertPending({ userId, email, password, role: 'user', name: '' })
  return userId
}

t.test('a role change reaches the account, and revokes the tokens that say otherwise', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  await applied(userSvc.change({ userId, role: 'editor' }))
  const [revocation, ...more] = await revokedOf(userId)
  t.same(more, [])
  t.equal(revocation?.target?.$case, 'userId')
  const notAfter = revocation?.notAfter?.getTime() ?? 0
  t.ok((await principalOf(tokens)).issuedAt <= notAfter)
  const principal = await principalOf(await refresh(tokens.refreshToken))
  t.equal(principal.role, 'editor', 'the session goes on')
  t.ok(principal.issuedAt > notAfter)
})

t.test('a change to the role that the account has revokes nothing', async t => {
  const { user } = await signUp()
  await applied(userSvc.change({ userId: user?.id ?? '', role: 'user' }))
  t.same(await revokedOf(user?.id), [])
})

t.test('a closed account is out at once, and its address is free', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const email = tokens.user?.email ?? ''
  await applied(userSvc.change({ userId, closed: true }))
  t.equal((await revokedOf(userId)).length, 1)
  await t.rejects(refresh(tokens.refreshToken), { code: Code.UNAUTHENTICATED, reason: 'session_ended' })
  await t.rejects(login({ email }), { code: Code.UNAUTHENTICATED, reason: 'invalid_credentials' })
  const row = await db.selectFrom('accounts').selectAll().where('user_id', '=', userId).executeTakeFirst()
  t.match(row, { status: 'closed', email, password_hash: String }, 'which it keeps for the day when it is opened again')
  const successor = await signUp({ email, password: PASSWORD })
  t.not(successor.user?.id, userId)
})

t.test(
  'an account that is open again signs in as before, with the role of now; its old sessions stay ended',
  async t => {
    const tokens = await signUp()
    const userId = tokens.user?.id ?? ''
    const email = tokens.user?.email ?? ''
    await applied(userSvc.change({ userId, closed: true }))
    await applied(userSvc.change({ userId, role: 'editor' }))
    t.match(await principalOf(await login({ email })), { userId, role: 'editor' })
    await t.rejects(refresh(tokens.refreshToken), { code: Code.UNAUTHENTICATED, reason: 'session_ended' })
  },
)

t.test('an account that was closed without keeping its address passes, and stays closed', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  await applied(userSvc.change({ userId, closed: true }))
  const nothing = { email: null, password_hash: null, password_scheme: null }
  await db.updateTable('accounts').set(nothing).where('user_id', '=', userId).execute()
  await applied(userSvc.change({ userId }))
  t.equal(await statusOf(userId), 'closed')
})

t.test('a sign-up that holds the address of an account that is open again loses it', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  const email = user?.email ?? ''
  await applied(userSvc.change({ userId, closed: true }))
  const rival = await insertPending(email)
  await applied(userSvc.change({ userId }))
  t.equal(await statusOf(rival), undefined)
  t.match((await login({ email })).user, { id: userId })
})

t.test('a sign-up whose user was closed meanwhile does not keep the address either', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  const email = user?.email ?? ''
  await applied(userSvc.change({ userId, closed: true }))
  const rival = await insertPending(email)
  userSvc.closed.add(rival)
  await applied(userSvc.change({ userId }))
  t.equal(await statusOf(rival), 'closed')
  t.match((await login({ email })).user, { id: userId })
})

t.test('an address that has become another user’s since is left to them, and the changes go on', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  const email = user?.email ?? ''
  await applied(userSvc.change({ userId, closed: true }))
  const rival = await insertPending(email)
  // Opened and closed again; auth-svc learns of the first when the sign-up is complete at user-svc already.
  userSvc.change({ userId })
  await applied(userSvc.change({ userId, closed: true }))
  t.equal(await statusOf(userId), 'closed')
  t.equal(await statusOf(rival), 'active')
})

t.test('an erased account keeps nothing but its id, its sessions neither, and user-svc learns of it', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const email = tokens.user?.email ?? ''
  await applied(userSvc.change({ userId, closed: true, erased: true }))
  const row = await db.selectFrom('accounts').selectAll().where('user_id', '=', userId).executeTakeFirstOrThrow()
  t.match(row, { status: 'closed', email: null, password_hash: null, password_scheme: null, erased_at: Date })
  const sessions = await db.selectFrom('sessions').selectAll().where('user_id', '=', userId).execute()
  t.match(sessions, [{ user_agent: '', address: '', end_reason: 'closed' }])
  t.same(userSvc.confirmed, [userId])
  t.equal((await revokedOf(userId)).length, 1)
  t.not((await signUp({ email })).user?.id, userId, 'its address is free')

  await applied(userSvc.change({ userId }))
  t.equal(await statusOf(userId), 'closed', 'and nothing opens it')
})

t.test('an erasure that could not be confirmed is confirmed later, and only then passed', async t => {
  const { user } = await signUp()
  const userId = user?.id ?? ''
  userSvc.failing.confirmations = 1
  await applied(userSvc.change({ userId, closed: true, erased: true }))
  t.equal(userSvc.failing.confirmations, 0)
  t.ok(userSvc.confirmed.includes(userId))
})

t.test('a change of somebody unknown passes', async t => {
  await applied(userSvc.change({ userId: '0190c0de-0000-7000-8000-000000000002', role: 'admin' }))
  t.pass()
})

t.test('what happened while user-svc could not be reached is caught up with', async t => {
  const { user } = await signUp()
  await userSvc.stop()
  const change = userSvc.change({ userId: user?.id ?? '', role: 'moderator' })
  await userSvc.restart()
  await applied(change)
  t.equal((await principalOf(await login({ email: user?.email ?? '' }))).role, 'moderator')
})

t.test('of several replicas one applies each change', async t => {
  const { user } = await signUp()
  const stream = createRevocationStream(system.redis)
  const replicas = Array.from({ length: 3 }, () =>
    followAccountChanges({
      db,
      users: { changes: (sequence, signal) => replay(sequence, signal), confirmErasure: async () => {} },
      signUp: { complete: async () => undefined },
      revocations: createRevocations({ db, stream, logger, tokenTtlMs: 1000 }),
      logger,
    }),
  )
  // Each sees the changes again from where it began.
  const change = userSvc.change({ userId: user?.id ?? '', role: 'editor' })
  async function* replay(_: bigint, signal: AbortSignal) {
    while (!signal.aborted) {
      await new Promise(resolve => setImmediate(resolve))
      yield change
    }
  }
  await applied(change)
  await Promise.all(replicas.map(replica => replica.stop()))
  t.equal((await revokedOf(user?.id)).length, 1)
})

t.test('it stops when it is told to', async t => {
  const background = await system.server.startBackground()
  await background.stop()
  t.pass('also before it has begun')
})
