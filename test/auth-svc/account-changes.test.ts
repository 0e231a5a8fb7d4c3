import t from 'tap'
import { callUnary } from '#runtime/grpc-client.ts'
import { Code } from '#runtime/status.ts'
import { followAccountChanges } from '../../auth-svc/account-changes.ts'
import { createRevocationStream } from '../../auth-svc/revocation-stream.ts'
import { createRevocations } from '../../auth-svc/revocations.ts'
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
  t.match(row, { status: 'closed', email: null, password_hash: null, sign_up_name: null }, 'nothing is left but the id')
  const successor = await signUp({ email, password: PASSWORD })
  t.not(successor.user?.id, userId)
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
      users: { changes: (sequence, signal) => replay(sequence, signal) },
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
