import fc from 'fast-check'
import t from 'tap'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { UserPrincipal } from '#runtime/auth/principal.ts'
import { createRevocationSet } from '../../../../gateway/edge/revocations/revocation-set.ts'

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

function affects({ target, notAfter }: Revocation, principal: UserPrincipal): boolean {
  if (target?.$case === 'sessionId') return target.value === principal.sessionId
  if (target?.$case === 'tokenId') return target.value === principal.tokenId
  return target?.value === principal.userId && principal.issuedAt <= (notAfter?.getTime() ?? 0)
}

function startClocks() {
  const time = { wall: 0, monotonic: 0 }
  const clocks = { wall: () => time.wall, monotonic: () => time.monotonic }
  const advance = (ms: number) => {
    time.wall += ms
    time.monotonic += ms
  }
  return { time, clocks, advance }
}

t.test('a token is revoked if and only if one of the added revocations affects it', async t => {
  fc.assert(
    fc.property(fc.array(revocations, { maxLength: 10 }), principals, (entries, principal) => {
      const set = createRevocationSet(startClocks().clocks)
      for (const entry of entries) set.add(entry)
      t.equal(
        set.has(principal),
        entries.some(entry => affects(entry, principal)),
      )
    }),
  )
})

t.test(
  'a token stays revoked until its revocation expires, in any order of additions, removals and time steps',
  async t => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ do: fc.constant('add' as const), revocation: revocations }),
        fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: LIFETIME }) }),
        fc.record({ do: fc.constant('removeExpired' as const), limit: fc.integer({ min: 1, max: 5 }) }),
      ),
      { maxLength: 60, size: 'max' },
    )
    fc.assert(
      fc.property(steps, principals, (script, principal) => {
        const { time, clocks, advance } = startClocks()
        const set = createRevocationSet(clocks)
        const added: Revocation[] = []
        for (const step of script) {
          if (step.do === 'advance') advance(step.ms)
          else if (step.do === 'removeExpired') set.removeExpired(step.limit)
          else {
            set.add(step.revocation)
            added.push(step.revocation)
          }
          const inForce = added.filter(({ expiresAt }) => (expiresAt?.getTime() ?? 0) > time.wall)
          const isRevoked = inForce.some(entry => affects(entry, principal))
          t.ok(set.has(principal) || !isRevoked)
        }
      }),
    )
  },
)

t.test('a wall clock that steps forward and back removes no revocation', async t => {
  const { time, clocks, advance } = startClocks()
  const set = createRevocationSet(clocks)
  const session = { target: { $case: 'sessionId' as const, value: 's' }, notAfter: undefined }
  set.add({ ...session, expiresAt: new Date(LIFETIME) })
  time.wall += 10 * LIFETIME
  set.removeExpired(1000)
  time.wall -= 10 * LIFETIME
  advance(LIFETIME - 1)
  set.removeExpired(1000)
  t.equal(set.size, 1)

  time.wall -= 5 * MINUTE
  advance(2 * MINUTE)
  set.removeExpired(1000)
  t.equal(set.size, 1, 'expired by one clock only')
  advance(5 * MINUTE)
  set.removeExpired(1000)
  t.equal(set.size, 0)
})

t.test('a revocation added while the wall clock is ahead is still in force after the clock steps back', async t => {
  for (const ahead of [5 * MINUTE, 24 * 60 * MINUTE]) {
    const { time, clocks, advance } = startClocks()
    const set = createRevocationSet(clocks)
    time.wall += ahead
    for (const $case of ['sessionId', 'tokenId', 'userId'] as const) {
      set.add({ target: { $case, value: $case }, notAfter: new Date(0), expiresAt: new Date(15 * MINUTE) })
    }
    advance(15 * MINUTE - 1)
    set.removeExpired(1000)
    time.wall -= ahead
    t.equal(set.size, 3, `${ahead / MINUTE} minutes ahead`)
    advance(MINUTE + 1)
    set.removeExpired(1000)
    t.equal(set.size, 0)
  }
})

t.test(
  'a user revoked again while the wall clock is ahead stays revoked for the lifetime of the second revocation',
  async t => {
    const { time, clocks, advance } = startClocks()
    const set = createRevocationSet(clocks)
    const add = (minute: number) => {
      const [notAfter, expiresAt] = [new Date(minute * MINUTE), new Date((minute + 15) * MINUTE)]
      set.add({ target: { $case: 'userId', value: 'u' }, notAfter, expiresAt })
    }
    add(0)
    advance(14 * MINUTE)
    time.wall += 60 * MINUTE
    add(14)
    advance(2 * MINUTE)
    set.removeExpired(1000)
    time.wall -= 60 * MINUTE
    t.equal(set.size, 1)
    advance(14 * MINUTE)
    set.removeExpired(1000)
    t.equal(set.size, 0)
  },
)

t.test('expired revocations are removed within a minute, and at most `limit` of each kind per call', async t => {
  const { clocks, advance } = startClocks()
  const set = createRevocationSet(clocks)
  for (let number = 0; number < 10_000; number++) {
    const target = { $case: number % 2 === 0 ? ('sessionId' as const) : ('userId' as const), value: `${number}` }
    const [notAfter, expiresAt] = [new Date(0), new Date(LIFETIME + (number % 10) * MINUTE)]
    // The snapshot and the stream may both contain it.
    for (const _ of [1, 2]) set.add({ target, notAfter, expiresAt })
  }
  t.equal(set.size, 10_000)
  advance(LIFETIME - 1)
  set.removeExpired(1000)
  t.equal(set.size, 10_000, 'none is removed before it expires')
  advance(MINUTE + 1)
  let before = set.size
  for (let turn = 0; turn < 3; turn++) {
    set.removeExpired(200)
    t.ok(before - set.size <= 400, `removed ${before - set.size} sessions and users in one call`)
    before = set.size
  }
  advance(10 * MINUTE)
  for (let turn = 0; turn < 50; turn++) set.removeExpired(200)
  t.equal(set.size, 0)
})

t.test('the size stays near the number of revocations in force at 100,000 revocations per 15 minutes', async t => {
  const { time, clocks, advance } = startClocks()
  const set = createRevocationSet(clocks)
  let maxSize = 0
  for (let number = 0; number < 400_000; number++) {
    advance(9)
    const target = { $case: 'sessionId' as const, value: `${number}` }
    set.add({ target, notAfter: undefined, expiresAt: new Date(time.wall + 15 * MINUTE) })
    if (number % 55 === 0) set.removeExpired(1000)
    maxSize = Math.max(maxSize, set.size)
  }
  t.ok(maxSize <= 100_000 + 60_000 / 9 + 1000, `maximum size ${maxSize}`)
})
