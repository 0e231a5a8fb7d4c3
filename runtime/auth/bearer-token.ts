const BEARER = 'Bearer '

/**
 * Extracts the token of an `Authorization` header (RFC 6750 section 2.1). The scheme is case-insensitive (RFC 9110
 * section 11.1).
 * @returns undefined if the header is absent, has another scheme or has no well-formed token.
 */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  // Fast path for the usual form: `Bearer`, one space, no further space.
  if (authorization.startsWith(BEARER) && authorization.indexOf(' ', BEARER.length) === -1) {
    return authorization.slice(BEARER.length) || undefined
  }
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1]
}
