import fc from 'fast-check'
import t from 'tap'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { UserPrincipal } from '#runtime/auth/principal.ts'
import { createRevocationSet } from '../../../../gateway/edge/revocations/revocations.ts'

const MINUTE = 60_000
const LIFETIME = 20 * MINUTE

const ids = fc.constantFrom('a', 'b', 'c')
const times = fc.integer({ min: 1, max: 3 * LIFETIME })

const principals: fc.Arbitrary<UserPrincipal> = fc.record({
  kind: fc.constant('user' as const),
  userId: ids,
  sessionId: ids,
  tokenId: ids,
  role: fc.constant('user' as const),
  email: fc.constant('a@b.example'),
  issuedAt: times,
  expiresAt: fc.constant(0),
  authenticatedAt: fc.constant(0),
})

const revocations: fc.Arbitrary<Revocation> = fc.record({
  target: fc.oneof(
    fc.record({ $case: fc.constant('sessionId' as const), value: ids }),
    fc.record({ $case: fc.constant('tokenId' as const), value: ids }),
    fc.record({ $case: fc.constant('userId' as const), value: ids }),
  ),
  notAfter: times.map(time => new Date(time)),
  expiresAt: times.map(time => new Date(time)),
})

function concerns({ target, notAfter }: Revocation, principal: UserPrincipal): boolean {
  if (target?.$case === 'sessionId') return target.value === principal.sessionId
  if (target?.$case === 'tokenId') return target.value === principal.tokenId
  return target?.value === principal.userId && principal.issuedAt <= (notAfter?.getTime() ?? 0)
}

function startClocks() {
  const time = { wall: 0, monotonic: 0 }
  const clocks = { wall: () => time.wall, monotonic: () => time.monotonic }
  const pass = (ms: number) => {
    time.wall += ms
    time.monotonic += ms
  }
  return { time, clocks, pass }
}

t.test('a token is revoked exactly when one of the revocations concerns it', async t => {
  fc.assert(
    fc.property(fc.array(revocations, { maxLength: 10 }), principals, (entries, principal) => {
      const set = createRevocationSet(startClocks().clocks)
      for (const entry of entries) set.add(entry)
      t.equal(
        set.has(principal),
        entries.some(entry => concerns(entry, principal)),
      )
    }),
  )
})

t.test('nothing un-revokes: no entry twice, late or out of order, no time that passes before its own', async t => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('add' as const), revocation: revocations }),
      fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: LIFETIME }) }),
      fc.record({ do: fc.constant('forget' as const), limit: fc.integer({ min: 1, max: 5 }) }),
    ),
    { maxLength: 60, size: 'max' },
  )
  fc.assert(
    fc.property(steps, principals, (script, principal) => {
      const { time, clocks, pass } = startClocks()
      const set = createRevocationSet(clocks)
      const added: Revocation[] = []
      for (const step of script) {
        if (step.do === 'pass') pass(step.ms)
        else if (step.do === 'forget') set.forgetExpired(step.limit)
        else {
          set.add(step.revocation)
          added.push(step.revocation)
        }
        const inForce = added.filter(({ expiresAt }) => (expiresAt?.getTime() ?? 0) > time.wall)
        if (inForce.some(entry => concerns(entry, principal))) t.ok(set.has(principal))
      }
    }),
  )
})

t.test('a clock that steps ahead and back takes no entry with it', async t => {
  const { time, clocks, pass } = startClocks()
  const set = createRevocationSet(clocks)
  const session = { target: { $case: 'sessionId' as const, value: 's' }, notAfter: undefined }
  set.add({ ...session, expiresAt: new Date(LIFETIME) })
  time.wall += 10 * LIFETIME
  set.forgetExpired(1000)
  time.wall -= 10 * LIFETIME
  pass(LIFETIME - 1)
  set.forgetExpired(1000)
  t.equal(set.size, 1)

  time.wall -= 5 * MINUTE
  pass(2 * MINUTE)
  set.forgetExpired(1000)
  t.equal(set.size, 1, 'its time has come by one clock, and not by the other')
  pass(5 * MINUTE)
  set.forgetExpired(1000)
  t.equal(set.size, 0)
})

t.test('what comes while the clock is ahead is still there when it has stepped back', async t => {
  for (const ahead of [5 * MINUTE, 24 * 60 * MINUTE]) {
    const { time, clocks, pass } = startClocks()
    const set = createRevocationSet(clocks)
    time.wall += ahead
    for (const $case of ['sessionId', 'tokenId', 'userId'] as const) {
      set.add({ target: { $case, value: $case }, notAfter: new Date(0), expiresAt: new Date(15 * MINUTE) })
    }
    pass(15 * MINUTE - 1)
    set.forgetExpired(1000)
    time.wall -= ahead
    t.equal(set.size, 3, `${ahead / MINUTE} minutes ahead`)
    pass(MINUTE + 1)
    set.forgetExpired(1000)
    t.equal(set.size, 0)
  }
})

t.test(
  'what is revoked once more while the clock is ahead stays for its own time, not for that of the first',
  async t => {
    const { time, clocks, pass } = startClocks()
    const set = createRevocationSet(clocks)
    const add = (minute: number) => {
      const [notAfter, expiresAt] = [new Date(minute * MINUTE), new Date((minute + 15) * MINUTE)]
      set.add({ target: { $case: 'userId', value: 'u' }, notAfter, expiresAt })
    }
    add(0)
    pass(14 * MINUTE)
    time.wall += 60 * MINUTE
    add(14)
    pass(2 * MINUTE)
    set.forgetExpired(1000)
    time.wall -= 60 * MINUTE
    t.equal(set.size, 1)
    pass(14 * MINUTE)
    set.forgetExpired(1000)
    t.equal(set.size, 0)
  },
)

t.test('entries go within a minute after their time, so many at a time and no more', async t => {
  const { clocks, pass } = startClocks()
  const set = createRevocationSet(clocks)
  for (let number = 0; number < 10_000; number++) {
    const target = { $case: number % 2 === 0 ? ('sessionId' as const) : ('userId' as const), value: `${number}` }
    const [notAfter, expiresAt] = [new Date(0), new Date(LIFETIME + (number % 10) * MINUTE)]
    // Twice, as the snapshot and the stream bring it.
    for (const _ of [1, 2]) set.add({ target, notAfter, expiresAt })
  }
  t.equal(set.size, 10_000)
  pass(LIFETIME - 1)
  set.forgetExpired(1000)
  t.equal(set.size, 10_000, 'none before')
  pass(MINUTE + 1)
  let before = set.size
  for (let turn = 0; turn < 3; turn++) {
    set.forgetExpired(200)
    t.ok(before - set.size <= 400, `${before - set.size} of sessions and users together`)
    before = set.size
  }
  pass(10 * MINUTE)
  for (let turn = 0; turn < 50; turn++) set.forgetExpired(200)
  t.equal(set.size, 0)
})

t.test(
  '100,000 in the course of fifteen minutes, again and again, take no more room than the ones in force',
  async t => {
    const { time, clocks, pass } = startClocks()
    const set = createRevocationSet(clocks)
    let most = 0
    for (let number = 0; number < 400_000; number++) {
      pass(9)
      const target = { $case: 'sessionId' as const, value: `${number}` }
      set.add({ target, notAfter: undefined, expiresAt: new Date(time.wall + 15 * MINUTE) })
      if (number % 55 === 0) set.forgetExpired(1000)
      most = Math.max(most, set.size)
    }
    t.ok(most <= 100_000 + 60_000 / 9 + 1000, `${most} at most`)
  },
)
