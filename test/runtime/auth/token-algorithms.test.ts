import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, type SigningOptions, sign } from 'node:crypto'
import t from 'tap'
import { createRemoteKeySet, type Jwk, toVerificationKey } from '#runtime/auth/key-set.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { AccessLevel } from '#runtime/grpc/contract.ts'
import { Code } from '#runtime/status.ts'
import { createAuthentication } from '../../../gateway/edge/authentication.ts'
import { createRevocationSet } from '../../../gateway/edge/revocations/revocation-set.ts'

const issuer = 'https://issuer.example'
const audience = 'us'

const ed = generateKeyPairSync('ed25519')
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const k256 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const weakRsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const smallExponent = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 })

const jwkOf = (kid: string, key: KeyObject, more: Partial<Jwk> = {}): Jwk => {
  const { kty = '', ...members } = key.export({ format: 'jwk' }) as Partial<Jwk>
  return { ...members, kty, kid, ...more }
}
const pemOf = (key: KeyObject) => key.export({ format: 'pem', type: 'spki' }).toString()
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

function unsigned(alg: string, kid: string): string {
  const now = Math.floor(Date.now() / 1000)
  const [sub, sid, jti] = [randomUUID(), randomUUID(), randomUUID()]
  const times = { iat: now, exp: now + 900, auth_time: now }
  const who = { iss: issuer, aud: audience, sub, sid, jti, role: 'user', email: 'a@b.example', amr: ['pwd'] }
  return `${encode({ alg, typ: 'at+jwt', kid })}.${encode({ ...who, ...times })}`
}

const DIGESTS: Record<string, string | null> = { EdDSA: null, ES256: 'sha256', RS256: 'sha256', RS512: 'sha512' }

function token(alg: string, kid: string, key: KeyObject, options: SigningOptions = {}): string {
  const input = unsigned(alg, kid)
  const signature = sign(DIGESTS[alg] ?? null, Buffer.from(input), { dsaEncoding: 'ieee-p1363', ...options, key })
  return `${input}.${signature.toString('base64url')}`
}

function hmac(kid: string, secret: string): string {
  const input = unsigned('HS256', kid)
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

const published: Jwk[] = [
  jwkOf('ed', ed.publicKey),
  jwkOf('ec', p256.publicKey, { alg: 'ES256', use: 'sig' }),
  jwkOf('rsa', rsa.publicKey, { alg: 'RS256' }),
]
const keys = createRemoteKeySet({ fetch: async () => published })

const services = createTokenVerifier({ keys, issuer, audience })
const authenticate = createAuthentication({
  keys,
  issuer,
  audience,
  revocations: createRevocationSet(),
  isStale: () => false,
})({ access: AccessLevel.USER } as Parameters<ReturnType<typeof createAuthentication>>[0])

/** The services' verifier, and the gateway's. */
const verifiers = {
  services: (text: string) => services.verify(text),
  gateway: async (text: string) =>
    authenticate({ headers: { authorization: `Bearer ${text}` } } as Parameters<typeof authenticate>[0]),
}

for (const [name, verify] of Object.entries(verifiers)) {
  t.test(`${name}: each key verifies what it signed with its one algorithm`, async t => {
    t.match(await verify(token('EdDSA', 'ed', ed.privateKey)), { kind: 'user' })
    t.match(await verify(token('ES256', 'ec', p256.privateKey)), { kind: 'user' })
    t.match(await verify(token('RS256', 'rsa', rsa.privateKey)), { kind: 'user' })
  })

  t.test(`${name}: a key is used with no other algorithm, whatever the token says`, async t => {
    const forgeries: Record<string, string> = {
      'RSA as an HMAC secret': hmac('rsa', pemOf(rsa.publicKey)),
      'P-256 as an HMAC secret': hmac('ec', pemOf(p256.publicKey)),
      'Ed25519 as an HMAC secret': hmac('ed', pemOf(ed.publicKey)),
      'the modulus as an HMAC secret': hmac('rsa', published[2]?.n ?? ''),
      'RS256 on the Ed25519 key': token('RS256', 'ed', rsa.privateKey),
      'ES256 on the Ed25519 key': token('ES256', 'ed', p256.privateKey),
      'EdDSA on the P-256 key': token('EdDSA', 'ec', ed.privateKey),
      'RS256 on the P-256 key': token('RS256', 'ec', rsa.privateKey),
      'EdDSA on the RSA key': token('EdDSA', 'rsa', ed.privateKey),
      'ES256 on the RSA key': token('ES256', 'rsa', p256.privateKey),
      'RS512, by the right RSA key': token('RS512', 'rsa', rsa.privateKey),
      'PS256 under the name of RS256': token('RS256', 'rsa', rsa.privateKey, { padding: 6, saltLength: 32 }),
      'RS256, by the right key, named EdDSA': relabel(token('RS256', 'rsa', rsa.privateKey), 'EdDSA', 'rsa'),
      'ES256 in DER': token('ES256', 'ec', p256.privateKey, { dsaEncoding: 'der' }),
      'ES256 of another key': token('ES256', 'ec', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
      'ES256 on P-384': token('ES256', 'ec', p384.privateKey),
      'ES256 on secp256k1': token('ES256', 'ec', k256.privateKey),
      'an ES256 signature of zeros': `${unsigned('ES256', 'ec')}.${Buffer.alloc(64).toString('base64url')}`,
      'an EdDSA signature of zeros': `${unsigned('EdDSA', 'ed')}.${Buffer.alloc(64).toString('base64url')}`,
      none: `${unsigned('none', 'ed')}.`,
    }
    for (const [forgery, text] of Object.entries(forgeries)) {
      await t.rejects(verify(text), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' }, forgery)
    }
  })
}

/** The signature of one header under another. */
function relabel(text: string, alg: string, kid: string): string {
  const [, payload, signature] = text.split('.')
  return `${encode({ alg, typ: 'at+jwt', kid })}.${payload}.${signature}`
}

t.test('a key that is not fit for verifying is passed over with a warning, and the others serve', async t => {
  const unfit: Record<string, Jwk> = {
    'RSA of 1024 bits': jwkOf('x', weakRsa.publicKey),
    'RSA with an exponent of 3': jwkOf('x', smallExponent.publicKey),
    'RSA without a modulus': { kty: 'RSA', kid: 'x', e: 'AQAB' },
    'RSA for PS256': jwkOf('x', rsa.publicKey, { alg: 'PS256' }),
    'P-384': jwkOf('x', p384.publicKey),
    secp256k1: jwkOf('x', k256.publicKey),
    'P-256 for ES384': jwkOf('x', p256.publicKey, { alg: 'ES384' }),
    'a point that is not on the curve': jwkOf('x', p256.publicKey, { y: encode({}).padEnd(43, 'A') }),
    X25519: jwkOf('x', generateKeyPairSync('x25519').publicKey),
    Ed448: jwkOf('x', generateKeyPairSync('ed448').publicKey),
    'Ed25519 for RS256': jwkOf('x', ed.publicKey, { alg: 'RS256' }),
    'Ed25519 of 31 bytes': { kty: 'OKP', crv: 'Ed25519', kid: 'x', x: Buffer.alloc(31).toString('base64url') },
    'a shared secret': { kty: 'oct', kid: 'x' },
    'a key for encryption': jwkOf('x', rsa.publicKey, { use: 'enc' }),
    'a key without a name': jwkOf('', ed.publicKey),
    'a second key of the same name': jwkOf('good', p256.publicKey),
  }
  for (const [name, jwk] of Object.entries(unfit)) {
    const warnings: unknown[] = []
    const set = createRemoteKeySet({
      fetch: async () => [jwkOf('good', ed.publicKey), jwk],
      logger: { warn: (fields: unknown) => void warnings.push(fields) },
    })
    await set.refresh()
    await set.refresh()
    t.equal(warnings.length, 1, `${name}: told once`)
    t.match(await set.find('good'), { algorithm: 'EdDSA' }, name)
    t.equal(set.current('x'), undefined, name)
    if (jwk.kid === 'x') t.throws(() => toVerificationKey(jwk), { message: /cannot be used/ }, name)
  }
})

t.test('a key that another takes the name of no longer vouches for its tokens; one that stays does', async t => {
  const set = [jwkOf('one', ed.publicKey), jwkOf('two', p256.publicKey)]
  const own = createRemoteKeySet({ fetch: async () => set })
  const verifier = createTokenVerifier({ keys: own, issuer, audience })
  const [first, second] = [token('EdDSA', 'one', ed.privateKey), token('ES256', 'two', p256.privateKey)]
  await verifier.verify(first)
  await verifier.verify(second)
  set[0] = jwkOf('one', generateKeyPairSync('ed25519').publicKey)
  await own.refresh()
  await t.rejects(verifier.verify(first), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' })
  t.notOk(verifier.verifyMaybeAsync(second) instanceof Promise, 'it is remembered')
  set.length = 0
  await own.refresh()
  await t.rejects(verifier.verify(second), { code: Code.UNAVAILABLE, reason: 'keys_unavailable' })
})
