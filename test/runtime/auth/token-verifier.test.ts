import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createVerifier } from 'fast-jwt'
import t from 'tap'
import { createRemoteKeySet, type Jwk } from '#runtime/auth/key-set.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { Code } from '#runtime/status.ts'
import { createTokenMint } from '../../support/token-mint.ts'

const [ADA, GRACE, SESSION] = [randomUUID(), randomUUID(), randomUUID()]
const issuer = 'https://issuer.example'
const mint = createTokenMint({ issuer, audience: 'us' })
const verifier = createTokenVerifier({ keys: mint.keys, issuer, audience: 'us' })
const serviceVerifier = createTokenVerifier({ keys: mint.keys, issuer, audience: 'us', acceptService: true })

t.test('a verified access token yields its user, with times in milliseconds', async t => {
  t.match(await verifier.verify(mint.access({ sub: ADA, sid: SESSION, iat: 1_700_000_000.25, role: 'editor' })), {
    kind: 'user',
    userId: ADA,
    sessionId: SESSION,
    role: 'editor',
    issuedAt: 1_700_000_000_250,
  })
})

t.test('a forged token is rejected, whether service tokens are accepted or not', async t => {
  for (const [name, token] of Object.entries(mint.forgeries())) {
    await t.rejects(verifier.verify(token), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' }, name)
    if (token !== undefined && name !== 'a service token') {
      await t.rejects(serviceVerifier.verify(token), { code: Code.UNAUTHENTICATED }, name)
    }
  }
  await t.rejects(verifier.verify(mint.access({ exp: 1 })), { code: Code.UNAUTHENTICATED, reason: 'token_expired' })
})

t.test('a token whose subject or session is not a UUID in lower case is rejected', async t => {
  for (const id of ['u', '', ADA.toUpperCase(), `${ADA}0`, ` ${ADA}`, ADA.replaceAll('-', ''), `{${ADA}}`, 'a\0b']) {
    for (const claim of ['sub', 'sid']) {
      const rejected = { code: Code.UNAUTHENTICATED, reason: 'token_invalid' }
      await t.rejects(verifier.verify(mint.access({ [claim]: id })), rejected, `${claim} ${JSON.stringify(id)}`)
    }
  }
})

/** Creates a verifier that counts compiled keys and verified signatures. */
function createCountingVerifier() {
  const count = { keys: 0, verifications: 0 }
  const counting = createTokenVerifier({
    keys: mint.keys,
    issuer,
    audience: 'us',
    capacity: 400,
    compile: (key, { audience }) => {
      count.keys++
      const verifyClaims = createVerifier({
        key: key.pem,
        algorithms: [key.algorithm],
        allowedAud: audience,
        cache: false,
      })
      return token => {
        count.verifications++
        return verifyClaims(token)
      }
    },
  })
  return { verifier: counting, count }
}

t.test('the signature of a token is verified once, also for concurrent requests', async t => {
  const { verifier, count } = createCountingVerifier()
  const [one, other] = [mint.access({ sub: ADA }), mint.access({ sub: GRACE })]
  const principals = await Promise.all(
    Array.from({ length: 100 }, (_, i) => verifier.verify(i % 2 === 0 ? one : other)),
  )
  t.match(principals.slice(0, 2), [{ userId: ADA }, { userId: GRACE }])
  t.same(count, { keys: 1, verifications: 2 })
  t.match(verifier.verifyMaybeAsync(one), { userId: ADA }, 'a cached token is returned synchronously')
  t.equal(count.verifications, 2)
})

t.test('a flood of invalid tokens causes at most one verification each and evicts no valid token', async t => {
  const { verifier, count } = createCountingVerifier()
  const valid = Array.from({ length: 100 }, () => mint.access({}))
  for (const token of valid) await verifier.verify(token)
  count.verifications = 0

  const [header = '', payload = '', signature = ''] = mint.access({}).split('.')
  const forged = (number: number) => Buffer.from(`${number}`.padStart(64, '0')).toString('base64url')
  const floods: Record<string, { make: (number: number) => string; verifications: number }> = {
    'forged signature': { make: number => `${header}.${payload}.${forged(number)}`, verifications: 2000 },
    'unknown kid': {
      make: number => `${Buffer.from(`{"kid":"${number}"}`).toString('base64url')}.${payload}.${signature}`,
      verifications: 0,
    },
    'malformed token': { make: number => `${header}.${number}`, verifications: 0 },
    'too long token': {
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
  for (const token of valid) await verifier.verify(token)
  t.equal(count.verifications, 0, 'valid tokens are still cached')
})

t.test('a service token yields its service if service tokens are accepted', async t => {
  t.same(await serviceVerifier.verify(mint.service()), { kind: 'service', service: 'auth-svc' })
})

function jwk(kid: string): Jwk {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  return { kty: 'OKP', crv: 'Ed25519', x, kid }
}

t.test('an unknown kid triggers a fetch of the key set, at most once per minIntervalMs', async t => {
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
  t.equal(fetches, 2, 'concurrent calls share one fetch')
})

t.test('a withdrawn key is dropped by the next fetch, and known keys stay valid while the fetch fails', async t => {
  let now = 0
  let fetch: () => Promise<Jwk[]> = async () => [jwk('one')]
  const keys = createRemoteKeySet({ fetch: () => fetch(), maxAgeMs: 60_000, now: () => now })
  t.ok(await keys.find('one'))
  fetch = () => Promise.reject(new Error('connect ECONNREFUSED'))
  now = 120_000
  t.ok(await keys.find('one'))
  fetch = async () => [jwk('two')]
  now = 240_000
  await keys.find('one')
  await keys.refresh()
  t.equal(await keys.find('one'), undefined)
})

t.test('a forged token with the cached header of a valid token is rejected', async t => {
  const { verifier } = createCountingVerifier()
  const [valid, other] = [mint.access({ sub: ADA }), mint.access({ sub: GRACE })]
  await verifier.verify(valid)
  const [header, payload] = valid.split('.')
  const forged = `${header}.${payload}.${other.split('.')[2]}`
  await t.rejects(verifier.verify(forged), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' })
  t.match(verifier.verifyMaybeAsync(other), { userId: GRACE }, 'the next valid token is verified synchronously')
})

t.test('a token is rejected with UNAVAILABLE, not UNAUTHENTICATED, if the key set cannot be fetched', async t => {
  const keys = createRemoteKeySet({ fetch: () => Promise.reject(new Error('connect ECONNREFUSED')) })
  const verifierWithoutKeys = createTokenVerifier({ keys, issuer, audience: 'us' })
  await t.rejects(verifierWithoutKeys.verify(mint.access({})), { code: Code.UNAVAILABLE, reason: 'keys_unavailable' })
})
