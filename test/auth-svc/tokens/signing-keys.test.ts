import { randomBytes, randomUUID } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import t, { type Test } from 'tap'
import { createRemoteKeySet } from '#runtime/auth/key-set.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { Code } from '#runtime/status.ts'
import type { Tables } from '../../../auth-svc/tables.ts'
import { createSigningKeySeal } from '../../../auth-svc/tokens/signing-key-seal.ts'
import { openSigningKeys, type SigningKeys } from '../../../auth-svc/tokens/signing-keys.ts'
import { createTokenIssuer } from '../../../auth-svc/tokens/token-issuer.ts'
import { openAuthDatabase } from '../auth-system.ts'

const HOUR = 3600_000
const secret = randomBytes(32)
const options = { periodMs: 24 * HOUR, publishAheadMs: HOUR, tokenTtlMs: HOUR / 4 }

async function setUp(t: Test) {
  const { db } = await openAuthDatabase(t)
  return { db, open: (using = secret) => openSigningKeys({ ...options, db, seal: createSigningKeySeal(using) }) }
}

/** Moves all activation times into the past, as if `ms` milliseconds had passed. */
async function advanceTime(db: Kysely<Tables>, ms: number): Promise<void> {
  await db
    .updateTable('signing_keys')
    .set({ activates_at: sql`activates_at - ${ms} * interval '1 millisecond'` })
    .execute()
}

const kidsOf = (keys: SigningKeys) => keys.jwks.map(({ kid }) => kid)
const activeKid = (keys: SigningKeys) => keys.activeAt(Date.now()).kid

t.test('concurrently started processes create one signing key and share it', async t => {
  const { open } = await setUp(t)
  const all = await Promise.all([open(), open(), open()])
  const [first] = all
  t.equal(first?.jwks.length, 1)
  for (const keys of all) {
    t.same(kidsOf(keys), kidsOf(first as SigningKeys))
    t.equal(activeKid(keys), kidsOf(keys)[0])
  }
  t.match(first?.jwks[0], { kty: 'OKP', crv: 'Ed25519', x: /^[\w-]{43}$/, kid: /^[\w-]{43}$/ })
  t.notOk(JSON.stringify(first?.jwks).includes('"d"'), 'the private key is not published')
})

t.test('a signing key is published ahead, becomes active, retires and is deleted', async t => {
  const { db, open } = await setUp(t)
  const keys = await open()
  const [old] = kidsOf(keys)

  await advanceTime(db, 22 * HOUR)
  await keys.rotate()
  t.same(kidsOf(keys), [old], 'no successor is created too early')

  await advanceTime(db, 1.5 * HOUR)
  await keys.rotate()
  const [, next] = kidsOf(keys)
  t.ok(next, 'the successor is published ahead')
  t.equal(activeKid(keys), old, 'the successor does not sign yet')
  await keys.rotate()
  t.equal(keys.jwks.length, 2, 'one successor is created')

  await advanceTime(db, 1.1 * HOUR)
  await keys.rotate()
  t.equal(activeKid(keys), next, 'the successor signs after an hour')
  t.same(kidsOf(keys), [old, next], 'the retiring key stays published')

  await advanceTime(db, 0.5 * HOUR)
  await keys.rotate()
  t.same(kidsOf(keys), [next], 'the retiring key is deleted after its last token has expired')
  t.equal(await keys.find(old as string), undefined)
})

t.test('the key published ahead, the active key and the retiring key are in the key set together', async t => {
  const { db, open } = await setUp(t)
  const keys = await open()
  await advanceTime(db, 23.5 * HOUR)
  await keys.rotate()
  // A period shorter than the lifetime of a token.
  const [first, second] = kidsOf(keys)
  await db
    .updateTable('signing_keys')
    .set({ activates_at: sql`now() - interval '1 minute'` })
    .where('kid', '=', second as string)
    .execute()
  const short = await openSigningKeys({ ...options, db, periodMs: 60_000, seal: createSigningKeySeal(secret) })
  t.equal(short.jwks.length, 3)
  t.same(kidsOf(short).slice(0, 2), [first, second])
  t.equal(activeKid(short), second)
})

t.test('concurrent rotations by several processes create one key', async t => {
  const { db, open } = await setUp(t)
  const all = await Promise.all([open(), open(), open(), open()])
  await advanceTime(db, 23.5 * HOUR)
  await Promise.all(all.map(keys => keys.rotate()))
  await Promise.all(all.map(keys => keys.rotate()))
  for (const keys of all) t.equal(keys.jwks.length, 2)
})

t.test('an overdue key is published ahead before it signs, after no process was running', async t => {
  const { db, open } = await setUp(t)
  const before = await open()
  const old = activeKid(before)
  await advanceTime(db, 1000 * HOUR)
  const keys = await open()
  t.equal(keys.jwks.length, 2)
  t.equal(activeKid(keys), old)
})

t.test('tokens verify until their signing key is deleted', async t => {
  const { db, open } = await setUp(t)
  const keys = await open()
  const [issuer, audience] = ['https://gatehouse.test', 'gatehouse']
  const tokens = createTokenIssuer({ keys, issuer, audience, accessTtlS: 900 })
  const issue = () =>
    tokens.accessToken({
      userId: randomUUID(),
      sessionId: randomUUID(),
      role: 'user',
      email: 'ada@example.com',
      issuedAt: Date.now(),
      authenticatedAt: Date.now(),
      sessionExpiresAt: Date.now() + HOUR,
    }).token
  const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
  // A remote verifier with a cached key set.
  const remote = createRemoteKeySet({ fetch: async () => keys.jwks, minIntervalMs: 0, maxAgeMs: 0 })
  const verifier = createTokenVerifier({ keys: remote, issuer, audience })

  const old = issue()
  await verifier.verify(old)
  await advanceTime(db, 23.5 * HOUR)
  await keys.rotate()
  await advanceTime(db, HOUR)
  await keys.rotate()
  const fresh = issue()
  t.not(kidOf(fresh), kidOf(old))
  await verifier.verify(fresh)
  await verifier.verify(old)
  t.pass('tokens of both keys verify while both are published')

  await advanceTime(db, HOUR)
  await keys.rotate()
  await remote.refresh()
  await verifier.verify(fresh)
  await t.rejects(verifier.verify(old), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' })
})

t.test('a stored signing key is decrypted only with its secret and its own kid', async t => {
  const { db, open } = await setUp(t)
  const keys = await open()
  await t.rejects(open(randomBytes(32)), { message: /SIGNING_KEY_SECRET/ })

  const row = await db.selectFrom('signing_keys').selectAll().executeTakeFirstOrThrow()
  const der = keys.activeAt(Date.now()).privateKey.export({ format: 'der', type: 'pkcs8' })
  t.notOk(row.private_key.includes(der.subarray(-32)), 'the private key is not stored in plaintext')
  const seal = createSigningKeySeal(secret)
  seal.open(row.kid, row.private_key)
  t.throws(() => seal.open('another-kid', row.private_key), { message: /cannot decrypt/ })
  const modified = Buffer.from(row.private_key)
  modified[20] = (modified[20] as number) ^ 1
  t.throws(() => seal.open(row.kid, modified), { message: /cannot decrypt/ })
  t.throws(() => seal.open(row.kid, row.private_key.subarray(0, 20)), { message: /cannot decrypt/ })
})
