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

function signingInput(alg: string, kid: string): string {
  const now = Math.floor(Date.now() / 1000)
  const [sub, sid, jti] = [randomUUID(), randomUUID(), randomUUID()]
  const times = { iat: now, exp: now + 900, auth_time: now }
  const claims = { iss: issuer, aud: audience, sub, sid, jti, role: 'user', email: 'a@b.example', amr: ['pwd'] }
  return `${encode({ alg, typ: 'at+jwt', kid })}.${encode({ ...claims, ...times })}`
}

const DIGESTS: Record<string, string | null> = { EdDSA: null, ES256: 'sha256', RS256: 'sha256', RS512: 'sha512' }

function signedToken(alg: string, kid: string, key: KeyObject, options: SigningOptions = {}): string {
  const input = signingInput(alg, kid)
  const signature = sign(DIGESTS[alg] ?? null, Buffer.from(input), { dsaEncoding: 'ieee-p1363', ...options, key })
  return `${input}.${signature.toString('base64url')}`
}

function hmac(kid: string, secret: string): string {
  const input = signingInput('HS256', kid)
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

const published: Jwk[] = [
  jwkOf('ed', ed.publicKey),
  jwkOf('ec', p256.publicKey, { alg: 'ES256', use: 'sig' }),
  jwkOf('rsa', rsa.publicKey, { alg: 'RS256' }),
]
const keys = createRemoteKeySet({ fetch: async () => published })

const serviceVerifier = createTokenVerifier({ keys, issuer, audience })
const authenticate = createAuthentication({
  keys,
  issuer,
  audience,
  revocations: createRevocationSet(),
  isStale: () => false,
})({ access: AccessLevel.USER } as Parameters<ReturnType<typeof createAuthentication>>[0])

/** Token verification in the services and in the gateway. */
const verifiers = {
  services: (text: string) => serviceVerifier.verify(text),
  gateway: async (text: string) =>
    authenticate({ headers: { authorization: `Bearer ${text}` } } as Parameters<typeof authenticate>[0]),
}

for (const [name, verify] of Object.entries(verifiers)) {
  t.test(`${name}: a token signed with the algorithm of its key is accepted`, async t => {
    t.match(await verify(signedToken('EdDSA', 'ed', ed.privateKey)), { kind: 'user' })
    t.match(await verify(signedToken('ES256', 'ec', p256.privateKey)), { kind: 'user' })
    t.match(await verify(signedToken('RS256', 'rsa', rsa.privateKey)), { kind: 'user' })
  })

  t.test(`${name}: a token signed with another algorithm than that of its key is rejected`, async t => {
    const forgeries: Record<string, string> = {
      'HS256 with the RSA public key as secret': hmac('rsa', pemOf(rsa.publicKey)),
      'HS256 with the P-256 public key as secret': hmac('ec', pemOf(p256.publicKey)),
      'HS256 with the Ed25519 public key as secret': hmac('ed', pemOf(ed.publicKey)),
      'HS256 with the RSA modulus as secret': hmac('rsa', published[2]?.n ?? ''),
      'RS256 on the Ed25519 key': signedToken('RS256', 'ed', rsa.privateKey),
      'ES256 on the Ed25519 key': signedToken('ES256', 'ed', p256.privateKey),
      'EdDSA on the P-256 key': signedToken('EdDSA', 'ec', ed.privateKey),
      'RS256 on the P-256 key': signedToken('RS256', 'ec', rsa.privateKey),
      'EdDSA on the RSA key': signedToken('EdDSA', 'rsa', ed.privateKey),
      'ES256 on the RSA key': signedToken('ES256', 'rsa', p256.privateKey),
      'RS512 with the right RSA key': signedToken('RS512', 'rsa', rsa.privateKey),
      'PS256 with the header alg RS256': signedToken('RS256', 'rsa', rsa.privateKey, { padding: 6, saltLength: 32 }),
      'RS256 with the header alg EdDSA': replaceHeader(signedToken('RS256', 'rsa', rsa.privateKey), 'EdDSA', 'rsa'),
      'ES256 with a signature in DER': signedToken('ES256', 'ec', p256.privateKey, { dsaEncoding: 'der' }),
      'ES256 with another key': signedToken(
        'ES256',
        'ec',
        generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
      ),
      'ES256 on P-384': signedToken('ES256', 'ec', p384.privateKey),
      'ES256 on secp256k1': signedToken('ES256', 'ec', k256.privateKey),
      'an ES256 signature of zeros': `${signingInput('ES256', 'ec')}.${Buffer.alloc(64).toString('base64url')}`,
      'an EdDSA signature of zeros': `${signingInput('EdDSA', 'ed')}.${Buffer.alloc(64).toString('base64url')}`,
      'alg none': `${signingInput('none', 'ed')}.`,
    }
    for (const [forgery, text] of Object.entries(forgeries)) {
      await t.rejects(verify(text), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' }, forgery)
    }
  })
}

/** Replaces the header of a token and keeps its signature. */
function replaceHeader(text: string, alg: string, kid: string): string {
  const [, payload, signature] = text.split('.')
  return `${encode({ alg, typ: 'at+jwt', kid })}.${payload}.${signature}`
}

t.test('a key whose key_ops contain verify is used', async t => {
  t.match(toVerificationKey(jwkOf('x', ed.publicKey, { key_ops: ['sign', 'verify'], use: 'sig' })), { kid: 'x' })
})

t.test('an unusable key of the key set is skipped with one warning, and the other keys are used', async t => {
  const unusable: Record<string, Jwk> = {
    'RSA of 1024 bits': jwkOf('x', weakRsa.publicKey),
    'RSA with an exponent of 3': jwkOf('x', smallExponent.publicKey),
    'RSA without a modulus': { kty: 'RSA', kid: 'x', e: 'AQAB' },
    'RSA for PS256': jwkOf('x', rsa.publicKey, { alg: 'PS256' }),
    'P-384': jwkOf('x', p384.publicKey),
    secp256k1: jwkOf('x', k256.publicKey),
    'P-256 for ES384': jwkOf('x', p256.publicKey, { alg: 'ES384' }),
    'a point outside of the curve': jwkOf('x', p256.publicKey, { y: encode({}).padEnd(43, 'A') }),
    X25519: jwkOf('x', generateKeyPairSync('x25519').publicKey),
    Ed448: jwkOf('x', generateKeyPairSync('ed448').publicKey),
    'Ed25519 for RS256': jwkOf('x', ed.publicKey, { alg: 'RS256' }),
    'Ed25519 of 31 bytes': { kty: 'OKP', crv: 'Ed25519', kid: 'x', x: Buffer.alloc(31).toString('base64url') },
    'a symmetric key': { kty: 'oct', kid: 'x' },
    'a key for encryption': jwkOf('x', rsa.publicKey, { use: 'enc' }),
    'key_ops without verify': jwkOf('x', ed.publicKey, { key_ops: ['sign'] }),
    'empty key_ops': jwkOf('x', ed.publicKey, { key_ops: [] }),
    'key_ops that is not a list': jwkOf('x', ed.publicKey, { key_ops: 'verify' as unknown as string[] }),
    'key_ops for verifying with a use for encryption': jwkOf('x', rsa.publicKey, { use: 'enc', key_ops: ['verify'] }),
    'an empty kid': jwkOf('', ed.publicKey),
    'a duplicate kid': jwkOf('good', p256.publicKey),
  }
  for (const [name, jwk] of Object.entries(unusable)) {
    const warnings: unknown[] = []
    const set = createRemoteKeySet({
      fetch: async () => [jwkOf('good', ed.publicKey), jwk],
      logger: { warn: (fields: unknown) => void warnings.push(fields) },
    })
    await set.refresh()
    await set.refresh()
    t.equal(warnings.length, 1, `${name}: one warning for two fetches`)
    t.match(await set.find('good'), { algorithm: 'EdDSA' }, name)
    t.equal(set.current('x'), undefined, name)
    if (jwk.kid === 'x') t.throws(() => toVerificationKey(jwk), { message: /cannot be used/ }, name)
  }
})

t.test(
  'replacing a key under the same kid invalidates its tokens and keeps the cached tokens of other keys',
  async t => {
    const set = [jwkOf('one', ed.publicKey), jwkOf('two', p256.publicKey)]
    const keySet = createRemoteKeySet({ fetch: async () => set })
    const verifier = createTokenVerifier({ keys: keySet, issuer, audience })
    const [first, second] = [signedToken('EdDSA', 'one', ed.privateKey), signedToken('ES256', 'two', p256.privateKey)]
    await verifier.verify(first)
    await verifier.verify(second)
    set[0] = jwkOf('one', generateKeyPairSync('ed25519').publicKey)
    await keySet.refresh()
    await t.rejects(verifier.verify(first), { code: Code.UNAUTHENTICATED, reason: 'token_invalid' })
    t.notOk(verifier.verifyMaybeAsync(second) instanceof Promise, 'the token is cached')
    set.length = 0
    await keySet.refresh()
    await t.rejects(verifier.verify(second), { code: Code.UNAVAILABLE, reason: 'keys_unavailable' })
  },
)
