/** Parsing of the protected header of a compact JWS (RFC 7515), before the signature is verified. */

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

/** @returns undefined if the segment is not a JSON object with a `kid`. */
export function parseTokenHeader(segment: string): TokenHeader | undefined {
  const { kid, typ } = parseJson(Buffer.from(segment, 'base64url').toString()) ?? {}
  return typeof kid === 'string' && kid !== '' ? { segment, kid, typ } : undefined
}

function parseJson(text: string): { kid?: unknown; typ?: unknown } | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Rejects non-zero trailing bits, which would allow several encodings of a signature (RFC 4648 section 3.5). */
function isCanonicalSegment(token: string, start: number, end: number): boolean {
  const length = end - start
  if (length <= 0 || length % 4 === 1) return false
  const unusedBits = [0, 0, 0b1111, 0b11][length % 4] as number
  return (BASE64URL.indexOf(token.charAt(end - 1)) & unusedBits) === 0
}
