/** Issues valid and forged tokens for tests, with a key generated for the test. */
import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import type { KeySource, VerificationKey } from '#runtime/auth/key-set.ts'
import { type AccessClaims, SERVICE_AUDIENCE } from '#runtime/auth/token-profile.ts'

export interface TokenMint {
  /** A key set with the mint's key. */
  readonly keys: KeySource
  /** Issues an access token, valid for 15 minutes, with random ids unless given. */
  access(claims: Partial<AccessClaims>): string
  /** Issues a service token of auth-svc. */
  service(): string
  /** Tokens that must be rejected, by their defect. */
  forgeries(): Record<string, string>
}

/** Creates an issuer with a new Ed25519 key. */
export function createTokenMint({ issuer, audience }: { issuer: string; audience: string }): TokenMint {
  const pair = generateKeyPairSync('ed25519')
  const otherPair = generateKeyPairSync('ed25519')
  const pem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const kid = 'test-key'
  const key: VerificationKey = { kid, algorithm: 'EdDSA', pem }
  const current = (requested: string) => (requested === kid ? key : undefined)

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
      email: 'ada@example.com',
      auth_time: Math.floor(now),
      amr: ['pwd'],
      ...claims,
    }
  }

  /** @param spoil replaces `?` in header or payload by an octet that is not UTF-8, or starts the payload with a BOM. */
  function token(
    header: object,
    claims: object,
    { key = pair.privateKey, spoil = '' as '' | 'header' | 'payload' | 'start' } = {},
  ): string {
    const first = spoil === 'header' ? encodeSpoiled(header) : encode(header)
    const second = spoil === 'payload' ? encodeSpoiled(claims) : encode(claims)
    const bom = Buffer.from(`\ufeff${JSON.stringify(claims)}`).toString('base64url')
    const input = `${first}.${spoil === 'start' ? bom : second}`
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
    keys: { current, find: async requested => current(requested) },
    access,
    service,
    forgeries() {
      const valid = access({})
      const [header = '', payload = '', signature = ''] = valid.split('.')
      const hmacInput = `${encode({ alg: 'HS256', typ: 'at+jwt', kid })}.${payload}`
      const { role: _, ...withoutRole } = claimsWith({})
      return {
        'no signature': `${header}.${payload}.`,
        'alg none': `${encode({ alg: 'none', typ: 'at+jwt', kid })}.${payload}.`,
        'the public key as an HMAC secret': `${hmacInput}.${createHmac('sha256', pem).update(hmacInput).digest('base64url')}`,
        'another key': token({ alg: 'EdDSA', typ: 'at+jwt', kid }, claimsWith({}), { key: otherPair.privateKey }),
        'an unknown kid': token({ alg: 'EdDSA', typ: 'at+jwt', kid: 'unknown' }, claimsWith({})),
        'no kid': token({ alg: 'EdDSA', typ: 'at+jwt' }, claimsWith({})),
        'another typ': token({ alg: 'EdDSA', typ: 'JWT', kid }, claimsWith({})),
        'no typ': token({ alg: 'EdDSA', kid }, claimsWith({})),
        'a service token': service(),
        'another issuer': access({ iss: 'https://evil.example' }),
        'another audience': access({ aud: 'other' }),
        'a missing claim': token({ alg: 'EdDSA', typ: 'at+jwt', kid }, withoutRole),
        'an unknown critical extension': token({ alg: 'EdDSA', typ: 'at+jwt', kid, crit: ['x'], x: 1 }, claimsWith({})),
        ...Object.fromEntries(
          [null, '', 0, false, [], ['exp'], {}].map(crit => [
            `crit ${JSON.stringify(crit)}`,
            token({ alg: 'EdDSA', typ: 'at+jwt', kid, crit }, claimsWith({})),
          ]),
        ),
        'a header that is not UTF-8': token({ alg: 'EdDSA', typ: 'at+jwt', kid, x: '?' }, claimsWith({}), {
          spoil: 'header',
        }),
        'a payload that is not UTF-8': token({ alg: 'EdDSA', typ: 'at+jwt', kid }, claimsWith({ email: '?' }), {
          spoil: 'payload',
        }),
        'a payload with a byte-order mark': token({ alg: 'EdDSA', typ: 'at+jwt', kid }, claimsWith({}), {
          spoil: 'start',
        }),
        'a changed payload': `${header}.${encode(claimsWith({ role: 'admin' }))}.${signature}`,
        padding: `${valid}==`,
        'non-zero trailing bits': `${header}.${payload}.${withTrailingBits(signature)}`,
        'a fourth segment': `${valid}.x`,
        'not base64url': 'a.b.c',
      }
    },
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** Encodes the value as JSON with an octet 0xFF, which is not UTF-8, in place of each question mark. */
function encodeSpoiled(value: object): string {
  const octets = Buffer.from(JSON.stringify(value))
  return Buffer.from(octets.map(octet => (octet === 0x3f ? 0xff : octet))).toString('base64url')
}

/** Sets one of the four unused bits in the last of the 86 characters of an Ed25519 signature (64 bytes). */
function withTrailingBits(signature: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return signature.slice(0, -1) + alphabet[alphabet.indexOf(signature.at(-1) ?? 'A') | 1]
}
