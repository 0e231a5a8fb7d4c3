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
import { openAuthDatabase } from '../auth-database.ts'

const HOUR = 3600_000
const secret = randomBytes(32)
const options = { periodMs: 24 * HOUR, leadMs: HOUR, tokenTtlMs: HOUR / 4 }

async function setUp(t: Test) {
  const { db } = await openAuthDatabase(t)
  return { db, open: (using = secret) => openSigningKeys({ ...options, db, seal: createSigningKeySeal(using) }) }
}

/** Time passes for the keys when all that they do moves into the past. */
async function pass(db: Kysely<Tables>, ms: number): Promise<void> {
  await db
    .updateTable('signing_keys')
    .set({ activates_at: sql`activates_at - ${ms} * interval '1 millisecond'` })
    .execute()
}

const kids = (keys: SigningKeys) => keys.jwks.map(({ kid }) => kid)
const activeKid = (keys: SigningKeys) => keys.activeAt(Date.now()).kid

t.test('the first process makes a key, the next ones find it', async t => {
  const { open } = await setUp(t)
  const all = await Promise.all([open(), open(), open()])
  const [first] = all
  t.equal(first?.jwks.length, 1)
  for (const keys of all) {
    t.same(kids(keys), kids(first as SigningKeys))
    t.equal(activeKid(keys), kids(keys)[0])
  }
  t.match(first?.jwks[0], { kty: 'OKP', crv: 'Ed25519', x: /^[\w-]{43}$/, kid: /^[\w-]{43}$/ })
  t.notOk(JSON.stringify(first?.jwks).includes('"d"'), 'of which the private part is not published')
})

t.test('a key is published, then signs, then retires, then goes', async t => {
  const { db, open } = await setUp(t)
  const keys = await open()
  const [old] = kids(keys)

  await pass(db, 22 * HOUR)
  await keys.rotate()
  t.same(kids(keys), [old], 'nothing happens before it is time')

  await pass(db, 1.5 * HOUR)
  await keys.rotate()
  const [, next] = kids(keys)
  t.ok(next, 'the next one is published')
  t.equal(activeKid(keys), old, 'and does not sign yet')
  await keys.rotate()
  t.equal(keys.jwks.length, 2, 'it is made once')

  await pass(db, 1.1 * HOUR)
  await keys.rotate()
  t.equal(activeKid(keys), next, 'an hour later it signs')
  t.same(kids(keys), [old, next], 'and the old one still verifies')

  await pass(db, 0.5 * HOUR)
  await keys.rotate()
  t.same(kids(keys), [next], 'until its last token has expired')
  t.equal(await keys.find(old as string), undefined)
})

t.test('next, active and retiring are published at the same time', async t => {
  const { db, open } = await setUp(t)
  const keys = await open()
  await pass(db, 23.5 * HOUR)
  await keys.rotate()
  // As if the period were as short as a token's life.
  const [first, second] = kids(keys)
  await db
    .updateTable('signing_keys')
    .set({ activates_at: sql`now() - interval '1 minute'` })
    .where('kid', '=', second as string)
    .execute()
  const short = await openSigningKeys({ ...options, db, periodMs: 60_000, seal: createSigningKeySeal(secret) })
  t.equal(short.jwks.length, 3)
  t.same(kids(short).slice(0, 2), [first, second])
  t.equal(activeKid(short), second)
})

t.test('of several processes one rotates', async t => {
  const { db, open } = await setUp(t)
  const all = await Promise.all([open(), open(), open(), open()])
  await pass(db, 23.5 * HOUR)
  await Promise.all(all.map(keys => keys.rotate()))
  await Promise.all(all.map(keys => keys.rotate()))
  for (const keys of all) t.equal(keys.jwks.length, 2)
})

t.test('after a long stop the next key is published before it signs', async t => {
  const { db, open } = await setUp(t)
  const before = await open()
  const old = activeKid(before)
  await pass(db, 1000 * HOUR)
  const keys = await open()
  t.equal(keys.jwks.length, 2)
  t.equal(activeKid(keys), old)
})

t.test('tokens verify until the key that signed them is gone', async t => {
  const { db, open } = await setUp(t)
  const keys = await open()
  const [issuer, audience] = ['https://gatehouse.test', 'gatehouse']
  const issuing = createTokenIssuer({ keys, issuer, audience, accessTtlS: 900 })
  const issue = () =>
    issuing.accessToken({
      userId: randomUUID(),
      sessionId: randomUUID(),
      role: 'user',
      email: 'ada@example.com',
      issuedAt: Date.now(),
      authenticatedAt: Date.now(),
      sessionExpiresAt: Date.now() + HOUR,
    }).token
  const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
  // A verifier elsewhere, which has the key set of before.
  const remote = createRemoteKeySet({ fetch: async () => keys.jwks, minIntervalMs: 0, maxAgeMs: 0 })
  const verifier = createTokenVerifier({ keys: remote, issuer, audience })

  const old = issue()
  await verifier.verify(old)
  await pass(db, 23.5 * HOUR)
  await keys.rotate()
  await pass(db, HOUR)
  await keys.rotate()
  const fresh = issue()
  t.not(kidOf(fresh), kidOf(old))
  await verifier.verify(fresh)
  await verifier.verify(old)
  t.pass('old and new while both are published')

  await pass(db, HOUR)
  await keys.rotate()
  await remote.refresh()
  await verifier.verify(fresh)
  await t.rejects(verifier.verify(old), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' })
})

t.test('at rest a key can be read with its secret only, and under its own name only', async t => {
  const { db, open } = await setUp(t)
  const keys = await open()
  await t.rejects(open(randomBytes(32)), { message: /SIGNING_KEY_SECRET/ })

  const row = await db.selectFrom('signing_keys').selectAll().executeTakeFirstOrThrow()
  const der = keys.activeAt(Date.now()).privateKey.export({ format: 'der', type: 'pkcs8' })
  t.notOk(row.private_key.includes(der.subarray(-32)), 'the private key does not stand there')
  const seal = createSigningKeySeal(secret)
  seal.open(row.kid, row.private_key)
  t.throws(() => seal.open('another', row.private_key), { message: /does not open/ })
  const changed = Buffer.from(row.private_key)
  changed[20] = (changed[20] as number) ^ 1
  t.throws(() => seal.open(row.kid, changed), { message: /does not open/ })
  t.throws(() => seal.open(row.kid, row.private_key.subarray(0, 20)), { message: /does not open/ })
})
