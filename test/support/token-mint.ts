/** Access tokens as auth-svc issues them, and those that it never would, from a key made for the test. */
import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import type { KeySource, VerificationKey } from '#runtime/auth/key-set.ts'
import { type AccessClaims, SERVICE_AUDIENCE } from '#runtime/auth/token-profile.ts'

export interface TokenMint {
  readonly keys: KeySource
  access(claims: Partial<AccessClaims>): string
  service(): string
  /** Tokens that must not open anything, by what is wrong with them. */
  forgeries(): Record<string, string>
}

export function createTokenMint({ issuer, audience }: { issuer: string; audience: string }): TokenMint {
  const pair = generateKeyPairSync('ed25519')
  const stranger = generateKeyPairSync('ed25519')
  const pem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const kid = 'test-key'
  const key: VerificationKey = { kid, algorithm: 'EdDSA', pem }
  const current = (asked: string) => (asked === kid ? key : undefined)

  function claimsWith(claims: Partial<AccessClaims>): AccessClaims {
    const now = Date.now() / 1000
    return {
      iss: issuer,
      aud: audience,
      sub: randomUUID(),
      sid: randomUUID(),
      jti: randomUUID(),
      iat: now,
      exp: Math.floor(now) + 900,
      role: 'user',
      email: 'somebody@example.com',
      auth_time: Math.floor(now),
      amr: ['pwd'],
      ...claims,
    }
  }

  function token(header: object, claims: object, key = pair.privateKey): string {
    const input = `${encode(header)}.${encode(claims)}`
    return `${input}.${sign(null, Buffer.from(input), key).toString('base64url')}`
  }

  const access = (claims: Partial<AccessClaims>) => token({ alg: 'EdDSA', typ: 'at+jwt', kid }, claimsWith(claims))
  const service = () => {
    const { iat, exp } = claimsWith({})
    return token(
      { alg: 'EdDSA', typ: 'service+jwt', kid },
      { iss: issuer, aud: SERVICE_AUDIENCE, sub: 'auth-svc', iat, exp },
    )
  }

  return {
    keys: { current, find: async asked => current(asked) },
    access,
    service,
    forgeries() {
      const good = access({})
      const [header = '', payload = '', signature = ''] = good.split('.')
      const hmacInput = `${encode({ alg: 'HS256', typ: 'at+jwt', kid })}.${payload}`
      const { role: _, ...withoutRole } = claimsWith({})
      return {
        'no signature': `${header}.${payload}.`,
        'alg none': `${encode({ alg: 'none', typ: 'at+jwt', kid })}.${payload}.`,
        'the public key as an HMAC secret': `${hmacInput}.${createHmac('sha256', pem).update(hmacInput).digest('base64url')}`,
        'another key': token({ alg: 'EdDSA', typ: 'at+jwt', kid }, claimsWith({}), stranger.privateKey),
        'an unknown kid': token({ alg: 'EdDSA', typ: 'at+jwt', kid: 'unknown' }, claimsWith({})),
        'no kid': token({ alg: 'EdDSA', typ: 'at+jwt' }, claimsWith({})),
        'another typ': token({ alg: 'EdDSA', typ: 'JWT', kid }, claimsWith({})),
        'no typ': token({ alg: 'EdDSA', kid }, claimsWith({})),
        'a service token': service(),
        'another issuer': access({ iss: 'https://evil.example' }),
        'another audience': access({ aud: 'other' }),
        'a claim missing': token({ alg: 'EdDSA', typ: 'at+jwt', kid }, withoutRole),
        'an unknown critical extension': token({ alg: 'EdDSA', typ: 'at+jwt', kid, crit: ['x'], x: 1 }, claimsWith({})),
        'a changed payload': `${header}.${encode(claimsWith({ role: 'admin' }))}.${signature}`,
        padding: `${good}==`,
        'set bits past the end': `${header}.${payload}.${withTrailingBits(signature)}`,
        'a fourth segment': `${good}.x`,
        rubbish: 'a.b.c',
      }
    },
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** The 64 bytes of an Ed25519 signature leave four unused bits in the last of 86 characters. */
function withTrailingBits(signature: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return signature.slice(0, -1) + alphabet[alphabet.indexOf(signature.at(-1) ?? 'A') | 1]
}
