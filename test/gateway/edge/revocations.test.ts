import fc from 'fast-check'
import t from 'tap'
import type { Revocation } from '#proto/edge/v1/revocation.ts'
import type { UserPrincipal } from '#runtime/principal.ts'
import { createRevocationSet } from '../../../gateway/edge/revocations.ts'

const ids = fc.constantFrom('a', 'b', 'c')
const times = fc.integer({ min: 1, max: 1000 })

const principals: fc.Arbitrary<UserPrincipal> = fc.record({
  kind: fc.constant('user' as const),
  userId: ids,
  sessionId: ids,
  tokenId: ids,
  role: fc.constant('user' as const),
  email: fc.constant('a@b.example'),
  issuedAt: times,
  expiresAt: fc.constant(2000),
  authenticatedAt: fc.constant(0),
})

const revocations: fc.Arbitrary<Revocation> = fc.record({
  target: fc.oneof(
    fc.record({ $case: fc.constant('sessionId' as const), value: ids }),
    fc.record({ $case: fc.constant('tokenId' as const), value: ids }),
    fc.record({ $case: fc.constant('userId' as const), value: ids }),
  ),
  notAfter: times.map(time => new Date(time)),
  expiresAt: fc.constant(new Date(100_000)),
})

function concerns({ target, notAfter }: Revocation, principal: UserPrincipal): boolean {
  if (target?.$case === 'sessionId') return target.value === principal.sessionId
  if (target?.$case === 'tokenId') return target.value === principal.tokenId
  return target?.value === principal.userId && principal.issuedAt <= (notAfter?.getTime() ?? 0)
}

t.test('a token is revoked exactly when one of the revocations concerns it', async t => {
  fc.assert(
    fc.property(fc.array(revocations, { maxLength: 10 }), principals, (entries, principal) => {
      const added = createRevocationSet(() => 0)
      for (const entry of entries) added.add(entry)
      const expected = entries.some(entry => concerns(entry, principal))
      t.equal(added.has(principal), expected)
    }),
  )
})

t.test('entries are forgotten once the tokens that they concern have expired', async t => {
  let now = 0
  const set = createRevocationSet(() => now)
  for (let number = 0; number < 1000; number++) {
    now += 1000
    set.add({
      target: { $case: 'sessionId', value: `session ${number}` },
      notAfter: undefined,
      expiresAt: new Date(now + 10_000),
    })
  }
  t.ok(set.size <= 10 + 60, `${set.size} entries are left of 1000`)
})
