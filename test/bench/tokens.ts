/** Access tokens like those of auth-svc, and HS256 tokens for the Express gateway. */
import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'

export const ISSUER = 'http://127.0.0.1:3000'
export const AUDIENCE = 'gatehouse'

export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
}

export function createSigningKey(): SigningKey {
  return { kid: 'bench-key', privateKey: generateKeyPairSync('ed25519').privateKey }
}

/**
 * Signs access tokens that are valid for an hour.
 * @param count number of tokens.
 * @param users number of subjects, which the tokens have in turn. Default: one per token.
 */
export function accessTokens(key: SigningKey, count: number, users = count): string[] {
  const header = { alg: 'EdDSA', typ: 'at+jwt', kid: key.kid }
  return tokens(count, users, header, input => sign(null, Buffer.from(input), key.privateKey))
}

/** Signs HS256 tokens with one subject each. */
export function hmacTokens(secret: string, count: number): string[] {
  const header = { alg: 'HS256', typ: 'JWT' }
  return tokens(count, count, header, input => createHmac('sha256', secret).update(input).digest())
}

function tokens(count: number, users: number, header: object, signInput: (input: string) => Buffer): string[] {
  const subjects = Array.from({ length: users }, () => randomUUID())
  const encodedHeader = encode(header)
  return Array.from({ length: count }, (_, at) => {
    const input = `${encodedHeader}.${encode(claimsOf(subjects[at % users] as string))}`
    return `${input}.${signInput(input).toString('base64url')}`
  })
}

function claimsOf(sub: string): object {
  const now = Math.floor(Date.now() / 1000)
  return {
    iss: ISSUER,
    aud: AUDIENCE,
    sub,
    sid: randomUUID(),
    jti: randomUUID(),
    iat: now,
    exp: now + 3600,
    role: 'user',
    email: 'somebody@example.com',
    auth_time: now,
    amr: ['pwd'],
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
