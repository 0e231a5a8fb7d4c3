/**
 * Refresh tokens: `<session>.<generation>.<mac>`.
 *
 *   session     the 16 bytes of the session id, base64url
 *   generation  decimal, starts at 1, incremented by each rotation
 *   mac         HMAC-SHA-256 with REFRESH_TOKEN_SECRET over a label, the session, the generation and the nonce of
 *               the session
 *
 * Tokens are derived, not stored: a repeated refresh returns the identical successor, a copy of the database holds no
 * credential, and a forged token is rejected before Redis is queried.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** A parsed token whose MAC is not verified yet. */
export interface RefreshToken {
  /** UUID, lower case. */
  readonly sessionId: string
  /** Integer from 1 to 10^15 - 1. */
  readonly generation: number
  readonly mac: Uint8Array
}

/** Creates and verifies refresh tokens with one secret. */
export interface RefreshTokens {
  /** The same arguments always give the same token. */
  format(sessionId: string, generation: number, nonce: Uint8Array): string
  /** Compares in constant time. @returns false for a forged token, or if `nonce` belongs to another session. */
  verify(token: RefreshToken, nonce: Uint8Array): boolean
}

const LABEL = 'gatehouse refresh token 1'
const TOKEN_PATTERN = /^([\w-]{22})\.([1-9]\d{0,14})\.([\w-]{43})$/

/** @param secret the 32 bytes of REFRESH_TOKEN_SECRET. */
export function createRefreshTokens(secret: Uint8Array): RefreshTokens {
  function computeMac(sessionId: string, generation: number, nonce: Uint8Array): Buffer {
    const fields = Buffer.alloc(24)
    uuidToBytes(sessionId).copy(fields)
    fields.writeBigUInt64BE(BigInt(generation), 16)
    return createHmac('sha256', secret).update(LABEL).update(fields).update(nonce).digest()
  }

  return {
    format(sessionId, generation, nonce) {
      const mac = computeMac(sessionId, generation, nonce).toString('base64url')
      return `${uuidToBytes(sessionId).toString('base64url')}.${generation}.${mac}`
    },
    verify: ({ sessionId, generation, mac }, nonce) => timingSafeEqual(computeMac(sessionId, generation, nonce), mac),
  }
}

/**
 * Parses a token without verifying it. Accepts the canonical base64url encoding only: one token has one spelling.
 * @returns undefined if `text` is malformed.
 */
export function parseRefreshToken(text: string): RefreshToken | undefined {
  const [, session = '', generation = '', mac = ''] = TOKEN_PATTERN.exec(text) ?? []
  const id = Buffer.from(session, 'base64url')
  const macBytes = Buffer.from(mac, 'base64url')
  if (id.length !== 16 || macBytes.length !== 32) return undefined
  if (id.toString('base64url') !== session || macBytes.toString('base64url') !== mac) return undefined
  return { sessionId: bytesToUuid(id), generation: Number(generation), mac: macBytes }
}

function uuidToBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex')
}

function bytesToUuid(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
