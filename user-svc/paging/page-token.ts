/**
 * Tokens by which a client asks for the next page. One holds the position of the last row seen (keyset), so that a page
 * costs the same however deep it is and no row is skipped or repeated while others come and go.
 *
 *   token = base64url( mac[16] , JSON position )     mac = HMAC-SHA-256(secret, list NUL position), truncated
 *
 * The MAC covers the name of the list, filters included, so that a token is good for the list that gave it only.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { invalidPageToken } from '../errors.ts'

/** The sort key of a row, most significant part first, as text that PostgreSQL reads back without loss. */
export type Position = readonly string[]

export interface PageTokens {
  encode(list: string, position: Position): string
  /** @throws StatusError INVALID_ARGUMENT on `pageToken`, for anything that `encode` did not make for this list. */
  decode(list: string, token: string): Position
}

const MAC_BYTES = 16

export function createPageTokens(secret: Uint8Array): PageTokens {
  const sign = (list: string, position: Buffer) =>
    createHmac('sha256', secret).update(`${list}\0`).update(position).digest().subarray(0, MAC_BYTES)

  return {
    encode(list, position) {
      const packed = Buffer.from(JSON.stringify(position))
      return Buffer.concat([sign(list, packed), packed]).toString('base64url')
    },
    decode(list, token) {
      const bytes = Buffer.from(token, 'base64url')
      const packed = bytes.subarray(MAC_BYTES)
      const isOurs = bytes.length > MAC_BYTES && timingSafeEqual(bytes.subarray(0, MAC_BYTES), sign(list, packed))
      // Node skips what is not base64url; a token is written in one way only.
      if (!isOurs || bytes.toString('base64url') !== token) throw invalidPageToken()
      return JSON.parse(packed.toString())
    },
  }
}
