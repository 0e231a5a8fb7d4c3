/**
 * Page tokens: the signed position of the last row of a page (see keyset.ts).
 *
 *   token = base64url( mac[16] , JSON position )     mac = HMAC-SHA-256(secret, list NUL position), truncated
 *
 * The MAC covers the name of the list including its filters: a token is valid for the list that issued it only.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { invalidPageToken } from '../errors.ts'
import type { Page, Position } from './keyset.ts'

export interface PageTokens {
  /** @param list name of the list, including everything that selects or orders its rows. */
  encode(list: string, position: Position): string
  /** @throws StatusError INVALID_ARGUMENT on `pageToken` if `encode` did not issue the token for this list. */
  decode(list: string, token: string): Position
}

const MAC_BYTES = 16

/** @param secret HMAC key, 32 bytes. All replicas must use the same key. */
export function createPageTokens(secret: Uint8Array): PageTokens {
  const sign = (list: string, position: Buffer) =>
    createHmac('sha256', secret).update(`${list}\0`).update(position).digest().subarray(0, MAC_BYTES)

  return {
    encode(list, position) {
      const payload = Buffer.from(JSON.stringify(position))
      return Buffer.concat([sign(list, payload), payload]).toString('base64url')
    },
    decode(list, token) {
      const bytes = Buffer.from(token, 'base64url')
      const payload = bytes.subarray(MAC_BYTES)
      const isAuthentic = bytes.length > MAC_BYTES && timingSafeEqual(bytes.subarray(0, MAC_BYTES), sign(list, payload))
      // Buffer.from ignores characters outside of base64url; only the canonical encoding is valid.
      if (!isAuthentic || bytes.toString('base64url') !== token) throw invalidPageToken()
      return JSON.parse(payload.toString())
    },
  }
}

/**
 * Verifies the page token of the request, reads the page, and issues the next page token.
 * @param list see `PageTokens.encode`.
 * @returns `nextPageToken`: empty on the last page, as `pageToken` is for the first.
 * @throws StatusError INVALID_ARGUMENT on `pageToken`.
 */
export async function servePage<Row>(
  tokens: PageTokens,
  list: string,
  pageToken: string,
  read: (after: Position | undefined) => Promise<Page<Row>>,
): Promise<{ rows: readonly Row[]; nextPageToken: string }> {
  const after = pageToken === '' ? undefined : tokens.decode(list, pageToken)
  const { rows, next } = await read(after)
  return { rows, nextPageToken: next === undefined ? '' : tokens.encode(list, next) }
}
