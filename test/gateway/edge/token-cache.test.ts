import fc from 'fast-check'
import t from 'tap'
import type { UserPrincipal } from '#runtime/principal.ts'
import { createTokenCache } from '../../../gateway/edge/token-cache.ts'

function principal(userId: string, expiresAt = 1000): UserPrincipal {
  const rest = { kind: 'user', sessionId: 's', tokenId: 'j', role: 'user', email: 'e' } as const
  return { ...rest, userId, expiresAt, issuedAt: 0, authenticatedAt: 0 }
}

t.test('whatever it answers was put in for that very token, by a key that is known, and has not expired', async t => {
  const steps = fc.array(
    fc.oneof(
      fc.record({
        do: fc.constant('put' as const),
        token: fc.nat(20),
        kid: fc.constantFrom('a', 'b'),
        expiresAt: fc.nat(50),
      }),
      fc.record({ do: fc.constant('get' as const), token: fc.nat(20) }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.nat(10) }),
      fc.record({ do: fc.constant('withdraw' as const), kid: fc.constantFrom('a', 'b') }),
    ),
    { maxLength: 100 },
  )
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 12 }), (script, capacity) => {
      let now = 0
      const withdrawn = new Set<string>()
      const model = new Map<number, { kid: string; expiresAt: number; userId: string }>()
      const cache = createTokenCache({ isKnown: kid => !withdrawn.has(kid), capacity, now: () => now })
      for (const [index, step] of script.entries()) {
        if (step.do === 'wait') now += step.ms
        else if (step.do === 'withdraw') withdrawn.add(step.kid)
        else if (step.do === 'put') {
          const userId = String(index)
          model.set(step.token, { kid: step.kid, expiresAt: step.expiresAt, userId })
          cache.put(String(step.token), step.kid, principal(userId, step.expiresAt))
        } else {
          const answer = cache.get(String(step.token))
          if (answer === undefined) continue
          const expected = model.get(step.token)
          t.equal(answer.userId, expected?.userId)
          t.ok(expected !== undefined && expected.expiresAt > now && !withdrawn.has(expected.kid))
        }
      }
    }),
  )
})

t.test('a token that is in use stays while others come and go, up to the capacity', async t => {
  const cache = createTokenCache({ isKnown: () => true, capacity: 10, now: () => 0 })
  cache.put('in use', 'k', principal('u'))
  for (let other = 0; other < 1000; other++) {
    cache.put(`other ${other}`, 'k', principal('o'))
    t.ok(cache.get('in use'))
  }
  const kept = Array.from({ length: 1000 }, (_, other) => cache.get(`other ${other}`)).filter(
    found => found !== undefined,
  )
  t.ok(kept.length <= 10, `${kept.length} are kept`)
})
