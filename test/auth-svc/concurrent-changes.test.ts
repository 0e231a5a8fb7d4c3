/** Requests for tokens while a transaction changes their account: they wait for its row lock. */
import { type Kysely, sql } from 'kysely'
import t from 'tap'
import type { Tokens } from '#proto/auth/v1/auth.ts'
import { Code } from '#runtime/status.ts'
import { createAccountRepository } from '../../auth-svc/accounts/account-repository.ts'
import { createRevocationRepository } from '../../auth-svc/revocations/revocation-repository.ts'
import { createSessionRepository } from '../../auth-svc/sessions/session-repository.ts'
import type { Tables } from '../../auth-svc/tables.ts'
import { until } from '../support/until.ts'
import { startAuthSystem } from './auth-system.ts'

const { database, signUp, login, refresh, principalOf } = await startAuthSystem(t)
const { db } = database
const TTL_MS = 900_000

/** Resolves when `count` statements of this database wait for a lock. */
function untilBlocked(count: number): Promise<number> {
  const blocked = sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return until(
    () => blocked.execute(db),
    ({ rows }) => rows.length >= count,
  )
}

/**
 * Runs `change` and `revoke` in one transaction. Starts `requests` between the two, and waits until all of them are
 * blocked.
 */
async function runDuringChange<R>(
  change: (transaction: Kysely<Tables>) => Promise<unknown>,
  requests: (() => Promise<R>)[],
  revoke: (transaction: Kysely<Tables>) => Promise<{ notAfter: Date | null }>,
): Promise<{ results: PromiseSettledResult<R>[]; notAfter: number }> {
  let results: Promise<PromiseSettledResult<R>[]> | undefined
  const { notAfter } = await db.transaction().execute(async transaction => {
    await change(transaction)
    results = Promise.allSettled(requests.map(request => request()))
    await untilBlocked(requests.length)
    return revoke(transaction)
  })
  return { results: (await results) ?? [], notAfter: notAfter?.getTime() ?? 0 }
}

const revokeUser = (userId: string) => (transaction: Kysely<Tables>) =>
  createRevocationRepository(transaction).insertUser(userId, TTL_MS)

t.test(
  'a refresh or sign-in during a change of role returns a token with the new role that is not revoked',
  async t => {
    const tokens = await signUp()
    const userId = tokens.user?.id ?? ''
    const { results, notAfter } = await runDuringChange<Tokens>(
      transaction => createAccountRepository(transaction).changeRole(userId, 'editor'),
      [() => refresh(tokens.refreshToken), () => login({ email: tokens.user?.email ?? '' })],
      revokeUser(userId),
    )
    for (const result of results) {
      if (result.status === 'rejected') throw result.reason
      const principal = await principalOf(result.value)
      t.equal(principal.role, 'editor')
      t.ok(principal.issuedAt > notAfter, 'the token is issued at least a millisecond after the change')
    }
    t.ok((await principalOf(tokens)).issuedAt <= notAfter)
  },
)

t.test('a refresh while all sessions of the user end is rejected', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const { results } = await runDuringChange<Tokens>(
    transaction => createAccountRepository(transaction).lock(userId),
    [() => refresh(tokens.refreshToken)],
    async transaction => {
      await createSessionRepository(transaction).endAll(userId, 'ended')
      return revokeUser(userId)(transaction)
    },
  )
  t.match(results, [{ status: 'rejected', reason: { code: Code.UNAUTHENTICATED, reason: 'session_ended' } }])
})

t.test('a sign-in while all sessions of the user end starts a session that is not revoked', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const { results, notAfter } = await runDuringChange<Tokens>(
    transaction => createAccountRepository(transaction).lock(userId),
    [() => login({ email: tokens.user?.email ?? '' })],
    async transaction => {
      await createSessionRepository(transaction).endAll(userId, 'ended')
      return revokeUser(userId)(transaction)
    },
  )
  const [result] = results
  if (result?.status !== 'fulfilled') throw result?.reason
  t.ok((await principalOf(result.value)).issuedAt > notAfter)
  await refresh(result.value.refreshToken)
})

t.test('a refresh or sign-in while the account is deactivated is rejected', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const { results } = await runDuringChange<Tokens>(
    transaction => createAccountRepository(transaction).deactivate(userId),
    [() => refresh(tokens.refreshToken), () => login({ email: tokens.user?.email ?? '' })],
    revokeUser(userId),
  )
  t.match(results, [
    { status: 'rejected', reason: { code: Code.UNAUTHENTICATED, reason: 'session_ended' } },
    { status: 'rejected', reason: { code: Code.UNAUTHENTICATED, reason: 'invalid_credentials' } },
  ])
})

t.test('the revocation of all tokens of a user waits until the next millisecond', async t => {
  const { user } = await signUp()
  for (let round = 0; round < 100; round++) {
    await db.transaction().execute(async transaction => {
      const { notAfter } = await revokeUser(user?.id ?? '')(transaction)
      const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(transaction)
      t.ok((rows[0]?.now.getTime() ?? 0) > (notAfter?.getTime() ?? 0), 'a token issued next has a later time')
    })
  }
})
