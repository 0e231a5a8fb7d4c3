/** Parsing of the protected header of a compact JWS (RFC 7515), before the signature is verified. */
import { isUtf8 } from 'node:buffer'

// Far above the length of the tokens that auth-svc issues. Bounds the work for an invalid token.
const MAX_TOKEN_LENGTH = 4096

/** The header parameters that select the key and the kind of token. Unverified. */
export interface TokenHeader {
  /** The header as encoded in the token. */
  readonly segment: string
  readonly kid: string
  readonly typ: unknown
}

/**
 * Checks the form of a token: at most 4,096 characters, three segments, each in canonical base64url. The characters
 * themselves are checked by the JWT library.
 * @returns the first segment; undefined if the token is malformed.
 */
export function headerSegmentOf(token: string): string | undefined {
  const [first, last] = [token.indexOf('.'), token.lastIndexOf('.')]
  const isWellFormed =
    token.length <= MAX_TOKEN_LENGTH &&
    isCanonicalSegment(token, 0, first) &&
    isCanonicalSegment(token, first + 1, last) &&
    isCanonicalSegment(token, last + 1, token.length)
  return isWellFormed ? token.slice(0, first) : undefined
}

/**
 * @returns undefined if the segment is not a JSON object in UTF-8 with a `kid`, or has `crit` with whatever value: no
 * critical extension is supported, and `crit` without one is malformed (RFC 7515 section 4.1.11).
 */
export function parseTokenHeader(segment: string): TokenHeader | undefined {
  const header = parseJson(segment)
  if (typeof header !== 'object' || header === null || 'crit' in header) return undefined
  const { kid, typ } = header
  return typeof kid === 'string' && kid !== '' ? { segment, kid, typ } : undefined
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseJson(segment: string): { kid?: unknown; typ?: unknown } | null {
  try {
    return JSON.parse(utf8.decode(Buffer.from(segment, 'base64url')))
  } catch {
    return null
  }
}

/** Whether the claims of a well-formed token are encoded in UTF-8 (RFC 7519 section 7.2). */
export function hasUtf8Payload(token: string): boolean {
  return isUtf8(Buffer.from(token.slice(token.indexOf('.') + 1, token.lastIndexOf('.')), 'base64url'))
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Rejects non-zero trailing bits, which would allow several encodings of a signature (RFC 4648 section 3.5). */
function isCanonicalSegment(token: string, start: number, end: number): boolean {
  const length = end - start
  if (length <= 0 || length % 4 === 1) return false
  const unusedBits = [0, 0, 0b1111, 0b11][length % 4] as number
  return (BASE64URL.indexOf(token.charAt(end - 1)) & unusedBits) === 0
}
