/**
 * The entity tag of a document: its version, which grows by one with each change. To a client it is opaque, and it comes
 * back in If-Match (RFC 9110 section 13.1.1).
 */
const VERSION = /^[1-9][0-9]{0,8}$/

export function etagOf({ version }: { version: number }): string {
  return String(version)
}

/** @returns the versions that the tags mean; undefined when any will do, because there are none or one is `*`. */
export function versionsOf(ifMatch: readonly string[]): number[] | undefined {
  if (ifMatch.length === 0 || ifMatch.includes('*')) return undefined
  // A tag that is none of ours is of no version: 0, since a list cannot be empty.
  return ifMatch.map(tag => (VERSION.test(tag) ? Number(tag) : 0))
}
