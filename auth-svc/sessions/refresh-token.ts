/**
 * Refresh tokens: `<session>.<generation>.<mac>`.
 *
 *   session     the 16 bytes of its id, base64url
 *   generation  decimal, from 1, one higher with each rotation
 *   mac         HMAC-SHA-256 under REFRESH_TOKEN_SECRET of a label, the session, the generation and the session's nonce
 *
 * A successor is thus derived, not stored: a retry gets the very same one, nothing at rest is a credential, and a token
 * that somebody made up is told before Redis is asked.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

export interface RefreshToken {
  readonly sessionId: string
  readonly generation: number
  readonly mac: Uint8Array
}

export interface RefreshTokens {
  format(sessionId: string, generation: number, nonce: Uint8Array): string
  isGenuine(token: RefreshToken, nonce: Uint8Array): boolean
}

const LABEL = 'gatehouse refresh token 1'
const FORM = /^([\w-]{22})\.([1-9]\d{0,14})\.([\w-]{43})$/

export function createRefreshTokens(secret: Uint8Array): RefreshTokens {
  function macOf(sessionId: string, generation: number, nonce: Uint8Array): Buffer {
    const fields = Buffer.alloc(24)
    sessionBytes(sessionId).copy(fields)
    fields.writeBigUInt64BE(BigInt(generation), 16)
    return createHmac('sha256', secret).update(LABEL).update(fields).update(nonce).digest()
  }

  return {
    format(sessionId, generation, nonce) {
      const mac = macOf(sessionId, generation, nonce).toString('base64url')
      return `${sessionBytes(sessionId).toString('base64url')}.${generation}.${mac}`
    },
    isGenuine: ({ sessionId, generation, mac }, nonce) => timingSafeEqual(macOf(sessionId, generation, nonce), mac),
  }
}

/** Reads the form alone, in its one spelling; undefined for anything else. */
export function parseRefreshToken(text: string): RefreshToken | undefined {
  const [, session = '', generation = '', mac = ''] = FORM.exec(text) ?? []
  const id = Buffer.from(session, 'base64url')
  const macBytes = Buffer.from(mac, 'base64url')
  if (id.length !== 16 || macBytes.length !== 32) return undefined
  if (id.toString('base64url') !== session || macBytes.toString('base64url') !== mac) return undefined
  return { sessionId: toUuid(id), generation: Number(generation), mac: macBytes }
}

function sessionBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex')
}

function toUuid(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
