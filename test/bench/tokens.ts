/** Access tokens as auth-svc issues them, as many as a load wants, and those of the Express gateway. */
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

/** Each of a user and a session of its own, good for an hour. */
export function accessTokens(key: SigningKey, count: number): string[] {
  const header = { alg: 'EdDSA', typ: 'at+jwt', kid: key.kid }
  return Array.from({ length: count }, () =>
    token(header, input => sign(null, Buffer.from(input), key.privateKey).toString('base64url')),
  )
}

export function hmacTokens(secret: string, count: number): string[] {
  const header = { alg: 'HS256', typ: 'JWT' }
  return Array.from({ length: count }, () =>
    token(header, input => createHmac('sha256', secret).update(input).digest('base64url')),
  )
}

function token(header: object, signatureOf: (input: string) => string): string {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: randomUUID(),
    sid: randomUUID(),
    jti: randomUUID(),
    iat: now,
    exp: now + 3600,
    role: 'user',
    email: 'somebody@example.com',
    auth_time: now,
    amr: ['pwd'],
  }
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${signatureOf(input)}`
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
