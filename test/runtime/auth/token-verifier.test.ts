import { generateKeyPairSync } from 'node:crypto'
import { createVerifier } from 'fast-jwt'
import t from 'tap'
import { createRemoteKeySet, type Jwk } from '#runtime/auth/key-set.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { Code } from '#runtime/status.ts'
import { createTokenMint } from '../../support/token-mint.ts'

const issuer = 'https://issuer.example'
const mint = createTokenMint({ issuer, audience: 'us' })
const verifier = createTokenVerifier({ keys: mint.keys, issuer, audience: 'us' })
const serviceVerifier = createTokenVerifier({ keys: mint.keys, issuer, audience: 'us', acceptService: true })

t.test('an access token becomes its user, with times in milliseconds', async t => {
  t.match(await verifier.verify(mint.access({ sub: 'u', sid: 's', iat: 1_700_000_000.25, role: 'editor' })), {
    kind: 'user',
    userId: 'u',
    sessionId: 's',
    role: 'editor',
    issuedAt: 1_700_000_000_250,
  })
})

t.test('no forged token opens anything, whether service tokens are accepted or not', async t => {
  for (const [name, token] of Object.entries(mint.forgeries())) {
    await t.rejects(verifier.verify(token), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' }, name)
    if (token !== undefined && name !== 'a service token') {
      await t.rejects(serviceVerifier.verify(token), { code: Code.UNAUTHENTICATED }, name)
    }
  }
  await t.rejects(verifier.verify(mint.access({ exp: 1 })), { code: Code.UNAUTHENTICATED, reason: 'token_expired' })
})

/** Verifies as ever, and counts how often. */
function startCounting() {
  const count = { keys: 0, verifications: 0 }
  const counting = createTokenVerifier({
    keys: mint.keys,
    issuer,
    audience: 'us',
    capacity: 400,
    compile: (key, { audience }) => {
      count.keys++
      const read = createVerifier({ key: key.pem, algorithms: [key.algorithm], allowedAud: audience, cache: false })
      return token => {
        count.verifications++
        return read(token)
      }
    },
  })
  return { verifier: counting, count }
}

t.test('a token is verified once, also when many come with it at the same time', async t => {
  const { verifier, count } = startCounting()
  const [one, other] = [mint.access({ sub: 'one' }), mint.access({ sub: 'other' })]
  const asked = await Promise.all(Array.from({ length: 100 }, (_, i) => verifier.verify(i % 2 === 0 ? one : other)))
  t.match(asked.slice(0, 2), [{ userId: 'one' }, { userId: 'other' }])
  t.same(count, { keys: 1, verifications: 2 })
  t.match(verifier.verifyMaybeAsync(one), { userId: 'one' }, 'and then without a promise')
  t.equal(count.verifications, 2)
})

t.test('a flood of invalid tokens costs a verification each at most, and evicts no good one', async t => {
  const { verifier, count } = startCounting()
  const good = Array.from({ length: 100 }, () => mint.access({}))
  for (const token of good) await verifier.verify(token)
  count.verifications = 0

  const [header = '', payload = '', signature = ''] = mint.access({}).split('.')
  const forged = (number: number) => Buffer.from(`${number}`.padStart(64, '0')).toString('base64url')
  const floods: Record<string, { make: (number: number) => string; verifications: number }> = {
    'with other signatures': { make: number => `${header}.${payload}.${forged(number)}`, verifications: 2000 },
    'with kids that are not there': {
      make: number => `${Buffer.from(`{"kid":"${number}"}`).toString('base64url')}.${payload}.${signature}`,
      verifications: 0,
    },
    'that are no tokens': { make: number => `${header}.${number}`, verifications: 0 },
    'without end': {
      make: number => `${header}.${payload}${'A'.repeat(4096 + number)}.${signature}`,
      verifications: 0,
    },
  }
  for (const [name, { make, verifications }] of Object.entries(floods)) {
    for (let number = 0; number < 2000; number++) {
      await verifier.verify(make(number)).then(
        () => t.fail(name),
        error => error.reason === 'token_invalid' || t.fail(error),
      )
    }
    t.equal(count.verifications, verifications, name)
    count.verifications = 0
  }
  for (const token of good) await verifier.verify(token)
  t.equal(count.verifications, 0, 'the good ones are remembered')
})

t.test('a service token is one only where it is accepted', async t => {
  t.same(await serviceVerifier.verify(mint.service()), { kind: 'service', service: 'auth-svc' })
})

function jwk(kid: string): Jwk {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  return { kty: 'OKP', crv: 'Ed25519', x, kid }
}

t.test('the key set is fetched for a kid that it lacks, but not more often than its bound', async t => {
  let now = 0
  let fetches = 0
  let published = [jwk('one')]
  const keys = createRemoteKeySet({
    fetch: async () => {
      fetches++
      return published
    },
    minIntervalMs: 5000,
    now: () => now,
  })
  t.ok(await keys.find('one'))
  for (let attempt = 0; attempt < 100; attempt++) t.equal(await keys.find(`invented ${attempt}`), undefined)
  t.equal(fetches, 1)
  published = [jwk('one'), jwk('two')]
  now = 5000
  const found = await Promise.all([keys.find('two'), keys.find('two'), keys.find('two')])
  t.ok(found.every(key => key !== undefined))
  t.equal(fetches, 2, 'those who ask at once share a fetch')
})

t.test('a key that was withdrawn is forgotten, and a known one serves while the set cannot be fetched', async t => {
  let now = 0
  let answer: () => Promise<Jwk[]> = async () => [jwk('one')]
  const keys = createRemoteKeySet({ fetch: () => answer(), maxAgeMs: 60_000, now: () => now })
  t.ok(await keys.find('one'))
  answer = () => Promise.reject(new Error('auth-svc is away'))
  now = 120_000
  t.ok(await keys.find('one'))
  answer = async () => [jwk('two')]
  now = 240_000
  await keys.find('one')
  await keys.refresh()
  t.equal(await keys.find('one'), undefined)
})

t.test('a token is worth no more for a header that stood in a genuine one', async t => {
  const { verifier } = startCounting()
  const [genuine, other] = [mint.access({ sub: 'one' }), mint.access({ sub: 'other' })]
  await verifier.verify(genuine)
  const [header, payload] = genuine.split('.')
  const forged = `${header}.${payload}.${other.split('.')[2]}`
  await t.rejects(verifier.verify(forged), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' })
  t.match(verifier.verifyMaybeAsync(other), { userId: 'other' }, 'the next genuine one is verified at once')
})

t.test('keys that cannot be had are not a fault of the token', async t => {
  const keys = createRemoteKeySet({ fetch: () => Promise.reject(new Error('away')) })
  const blind = createTokenVerifier({ keys, issuer, audience: 'us' })
  await t.rejects(blind.verify(mint.access({})), { code: Code.UNAVAILABLE, reason: 'keys_unavailable' })
})
