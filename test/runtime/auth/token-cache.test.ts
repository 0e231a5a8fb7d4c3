import fc from 'fast-check'
import t from 'tap'
import type { VerificationKey } from '#runtime/auth/key-set.ts'
import type { UserPrincipal } from '#runtime/auth/principal.ts'
import { createTokenCache } from '#runtime/auth/token-cache.ts'

const claims = { kind: 'user', sessionId: 's', tokenId: 'j', role: 'user', email: 'e' } as const

function principal(userId: string): UserPrincipal {
  return { ...claims, userId, expiresAt: 0, issuedAt: 0, authenticatedAt: 0 }
}

const keyOf = (kid: string): VerificationKey => ({ kid, algorithm: 'EdDSA', pem: '' })

t.test(
  'a hit returns the principal that was stored for the token, its key is current, and it has not expired',
  async t => {
    const kids = fc.constantFrom('a', 'b')
    const token = fc.nat(6)
    const steps = fc.array(
      fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({ do: fc.constant('put' as const), token, kid: kids, lifetime: fc.nat(50) }),
        },
        { weight: 9, arbitrary: fc.record({ do: fc.constant('get' as const), token }) },
        { weight: 6, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(10) }) },
        { weight: 1, arbitrary: fc.record({ do: fc.constant('withdraw' as const), kid: kids }) },
        { weight: 2, arbitrary: fc.record({ do: fc.constant('replace' as const), kid: kids }) },
      ),
      { maxLength: 100, size: 'max' },
    )
    let hits = 0
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 12 }), (script, capacity) => {
        let now = 0
        const keys = new Map([
          ['a', keyOf('a')],
          ['b', keyOf('b')],
        ])
        const model = new Map<number, { key: VerificationKey; expiresAt: number; userId: string }>()
        const cache = createTokenCache({ keys: { current: kid => keys.get(kid) }, capacity, now: () => now })
        for (const [index, step] of script.entries()) {
          if (step.do === 'wait') now += step.ms
          else if (step.do === 'withdraw') keys.delete(step.kid)
          else if (step.do === 'replace') keys.set(step.kid, keyOf(step.kid))
          else if (step.do === 'put') {
            const key = keys.get(step.kid)
            if (key === undefined) continue
            const userId = String(index)
            const expiresAt = now + step.lifetime
            model.set(step.token, { key, expiresAt, userId })
            cache.put(String(step.token), { key, principal: principal(userId), expiresAt })
          } else {
            const cached = cache.get(String(step.token))
            if (cached === undefined) continue
            hits++
            const expected = model.get(step.token)
            t.match(cached, { userId: expected?.userId })
            t.ok(expected !== undefined && expected.expiresAt > now && keys.get(expected.key.kid) === expected.key)
          }
        }
      }),
    )
    t.ok(hits > 50, `${hits} hits`)
  },
)

t.test('a cached token is returned until it expires', async t => {
  const key = keyOf('k')
  let now = 0
  const cache = createTokenCache({ keys: { current: () => key }, capacity: 10, now: () => now })
  cache.put('token', { key, principal: principal('u'), expiresAt: 1000 })
  now = 999
  t.ok(cache.get('token'))
  now = 1000
  t.equal(cache.get('token'), undefined)
})

t.test('a token in use is not evicted, and the number of other tokens stays within the capacity', async t => {
  const key = keyOf('k')
  const cache = createTokenCache({ keys: { current: () => key }, capacity: 10, now: () => 0 })
  const put = (token: string) => cache.put(token, { key, principal: principal('u'), expiresAt: 1 })
  put('in use')
  for (let other = 0; other < 1000; other++) {
    put(`other ${other}`)
    t.ok(cache.get('in use'))
  }
  const kept = Array.from({ length: 1000 }, (_, other) => cache.get(`other ${other}`)).filter(
    found => found !== undefined,
  )
  t.ok(kept.length <= 10, `${kept.length} tokens are cached`)
})
