/** Tokens that are asked for while something is decided about their account: the hard moments, one at a time. */
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

/** Resolves when so many statements of ours wait for a lock. */
function untilBlocked(count: number): Promise<number> {
  const waiting = sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return until(
    () => waiting.execute(db),
    ({ rows }) => rows.length >= count,
  )
}

/** Whatever is asked for meanwhile waits for the decision. */
async function decide<R>(
  decision: (transaction: Kysely<Tables>) => Promise<unknown>,
  ask: (() => Promise<R>)[],
  revoke: (transaction: Kysely<Tables>) => Promise<{ notAfter: Date | null }>,
): Promise<{ answers: PromiseSettledResult<R>[]; notAfter: number }> {
  let answers: Promise<PromiseSettledResult<R>[]> | undefined
  const { notAfter } = await db.transaction().execute(async transaction => {
    await decision(transaction)
    answers = Promise.allSettled(ask.map(one => one()))
    await untilBlocked(ask.length)
    return revoke(transaction)
  })
  return { answers: (await answers) ?? [], notAfter: notAfter?.getTime() ?? 0 }
}

const revokeUser = (userId: string) => (transaction: Kysely<Tables>) =>
  createRevocationRepository(transaction).insertUser(userId, TTL_MS)

t.test('whoever refreshes or signs in while their role changes gets the new one, in a token that is good', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const { answers, notAfter } = await decide<Tokens>(
    transaction => createAccountRepository(transaction).changeRole(userId, 'editor'),
    [() => refresh(tokens.refreshToken), () => login({ email: tokens.user?.email ?? '' })],
    revokeUser(userId),
  )
  for (const answer of answers) {
    if (answer.status === 'rejected') throw answer.reason
    const principal = await principalOf(answer.value)
    t.equal(principal.role, 'editor')
    t.ok(principal.issuedAt > notAfter, 'issued after the change, by the millisecond')
  }
  t.ok((await principalOf(tokens)).issuedAt <= notAfter)
})

t.test('whoever refreshes while all their sessions end is signed out', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const { answers } = await decide<Tokens>(
    transaction => createAccountRepository(transaction).lock(userId),
    [() => refresh(tokens.refreshToken)],
    async transaction => {
      await createSessionRepository(transaction).endAll(userId, 'ended')
      return revokeUser(userId)(transaction)
    },
  )
  t.match(answers, [{ status: 'rejected', reason: { code: Code.UNAUTHENTICATED, reason: 'session_ended' } }])
})

t.test('whoever signs in while all their sessions end has a session of after', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const { answers, notAfter } = await decide<Tokens>(
    transaction => createAccountRepository(transaction).lock(userId),
    [() => login({ email: tokens.user?.email ?? '' })],
    async transaction => {
      await createSessionRepository(transaction).endAll(userId, 'ended')
      return revokeUser(userId)(transaction)
    },
  )
  const [answer] = answers
  if (answer?.status !== 'fulfilled') throw answer?.reason
  t.ok((await principalOf(answer.value)).issuedAt > notAfter)
  await refresh(answer.value.refreshToken)
})

t.test('whoever signs in or refreshes while their account is closed does not get in', async t => {
  const tokens = await signUp()
  const userId = tokens.user?.id ?? ''
  const { answers } = await decide<Tokens>(
    transaction => createAccountRepository(transaction).close(userId),
    [() => refresh(tokens.refreshToken), () => login({ email: tokens.user?.email ?? '' })],
    revokeUser(userId),
  )
  t.match(answers, [
    { status: 'rejected', reason: { code: Code.UNAUTHENTICATED, reason: 'session_ended' } },
    { status: 'rejected', reason: { code: Code.UNAUTHENTICATED, reason: 'invalid_credentials' } },
  ])
})

t.test('a revocation holds on to the account until the clock has gone on', async t => {
  const { user } = await signUp()
  for (let round = 0; round < 100; round++) {
    await db.transaction().execute(async transaction => {
      const { notAfter } = await revokeUser(user?.id ?? '')(transaction)
      const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(transaction)
      t.ok((rows[0]?.now.getTime() ?? 0) > (notAfter?.getTime() ?? 0), 'what is issued next has a later time')
    })
  }
})
