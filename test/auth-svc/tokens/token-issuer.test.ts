import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import t from 'tap'
import type { KeySource, VerificationKey } from '#runtime/auth/key-set.ts'
import { SERVICE_AUDIENCE } from '#runtime/auth/token-profile.ts'
import { createTokenVerifier } from '#runtime/auth/token-verifier.ts'
import { Code } from '#runtime/status.ts'
import { createTokenIssuer, type SessionClaims } from '../../../auth-svc/tokens/token-issuer.ts'

const issuer = 'https://gatehouse.test'
const audience = 'gatehouse'
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const kid = 'the-key'
const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
const key: VerificationKey = { kid, algorithm: 'EdDSA', pem }
const current = (requested: string) => (requested === kid ? key : undefined)
const keys: KeySource = { current, find: async requested => current(requested) }
const signingKeys = { activeAt: () => ({ kid, privateKey }) }
const tokens = createTokenIssuer({ keys: signingKeys, issuer, audience, accessTtlS: 900 })

const verifier = createTokenVerifier({ keys, issuer, audience })
const serviceVerifier = createTokenVerifier({ keys, issuer, audience, acceptService: true })

// Not a whole second, to test rounding.
const now = Math.floor(Date.now() / 1000) * 1000 - 3_877
const sessionClaims: SessionClaims = {
  userId: randomUUID(),
  sessionId: randomUUID(),
  role: 'editor',
  email: 'ada@example.com',
  issuedAt: now,
  authenticatedAt: now - 5_000,
  sessionExpiresAt: now + 3600_000,
}
const decode = (token: string) =>
  token
    .split('.')
    .slice(0, 2)
    .map(part => JSON.parse(Buffer.from(part, 'base64url').toString()))

t.test('an access token has the claims of its user and session, with `iat` in milliseconds', async t => {
  const { token, expiresIn } = tokens.accessToken(sessionClaims)
  const [header, claims] = decode(token)
  t.same(header, { alg: 'EdDSA', typ: 'at+jwt', kid })
  t.match(claims, {
    iss: issuer,
    aud: audience,
    sub: sessionClaims.userId,
    sid: sessionClaims.sessionId,
    role: 'editor',
    email: 'ada@example.com',
    iat: now / 1000,
    amr: ['pwd'],
  })
  t.equal(expiresIn, 900)
  t.ok(claims.exp - claims.iat >= 900 && claims.exp - claims.iat < 901 && Number.isInteger(claims.exp))
  t.match(await verifier.verify(token), {
    kind: 'user',
    userId: sessionClaims.userId,
    sessionId: sessionClaims.sessionId,
    tokenId: claims.jti,
    role: 'editor',
    issuedAt: now,
  })
  t.not(decode(tokens.accessToken(sessionClaims).token)[1].jti, claims.jti, 'every token has its own jti')
})

t.test('an access token expires no later than its session', async t => {
  const { token, expiresIn } = tokens.accessToken({ ...sessionClaims, sessionExpiresAt: now + 60_500 })
  t.ok(decode(token)[1].exp * 1000 <= now + 60_500)
  t.ok(expiresIn <= 60 && expiresIn > 58)
})

t.test('a service token is accepted only by a verifier that accepts services', async t => {
  const token = tokens.serviceToken()
  t.same(await serviceVerifier.verify(token), { kind: 'service', service: 'auth-svc' })
  await t.rejects(verifier.verify(token), { code: Code.UNAUTHENTICATED })
  t.equal(decode(token)[1].aud, SERVICE_AUDIENCE)
})

t.test('a service token is reused for 30 s and then renewed', async t => {
  let time = Date.now()
  const clocked = createTokenIssuer({ keys: signingKeys, issuer, audience, accessTtlS: 900, now: () => time })
  const first = clocked.serviceToken()
  time += 29_000
  t.equal(clocked.serviceToken(), first)
  time += 2_000
  t.not(clocked.serviceToken(), first)
})

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
function forge(header: object, claims: object, key = privateKey): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${sign(null, Buffer.from(input), key).toString('base64url')}`
}

t.test('a forged or modified token is rejected', async t => {
  const { token } = tokens.accessToken(sessionClaims)
  const [header, claims] = decode(token)
  const [rawHeader = '', rawClaims = '', signature = ''] = token.split('.')
  const hmacInput = `${encode({ ...header, alg: 'HS256' })}.${rawClaims}`
  const forgedTokens: Record<string, string> = {
    'alg none': `${encode({ ...header, alg: 'none' })}.${rawClaims}.`,
    'HS256 with the public key as secret': `${hmacInput}.${createHmac('sha256', pem).update(hmacInput).digest('base64url')}`,
    'typ JWT': forge({ ...header, typ: 'JWT' }, claims),
    'typ of a service token': forge({ ...header, typ: 'service+jwt' }, claims),
    'another audience': forge(header, { ...claims, aud: 'other' }),
    'the audience of services': forge(header, { ...claims, aud: SERVICE_AUDIENCE }),
    'another issuer': forge(header, { ...claims, iss: `${issuer}/` }),
    'an unknown kid': forge({ ...header, kid: 'other' }, claims),
    'a key in the header jwk': forge({ alg: 'EdDSA', typ: 'at+jwt', jwk: publicKey.export({ format: 'jwk' }) }, claims),
    'another key': forge(header, claims, generateKeyPairSync('ed25519').privateKey),
    'a changed role': `${rawHeader}.${encode({ ...claims, role: 'admin' })}.${signature}`,
    'no session': forge(header, { ...claims, sid: undefined }),
    'a service token as access token': forge(header, { iss: issuer, aud: audience, sub: 'auth-svc', iat: 1, exp: 9e9 }),
    expired: forge(header, { ...claims, exp: Math.floor(Date.now() / 1000) - 1 }),
  }
  for (const [what, forged] of Object.entries(forgedTokens)) {
    await t.rejects(verifier.verify(forged), { code: Code.UNAUTHENTICATED }, what)
    await t.rejects(
      serviceVerifier.verify(forged),
      { code: Code.UNAUTHENTICATED },
      `${what}, at a verifier that accepts services`,
    )
  }
})
