/** Entity tags (RFC 9110 sections 8.8.3 and 13.1): in quotes in HTTP headers, without quotes in messages. */
import { invalidArgument } from '#runtime/status.ts'

// etagc: any visible character except the quotation mark.
const OPAQUE = /^[\x21\x23-\x7e\x80-\xff]*$/
const TAG = /^\s*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)/

/** Returns the value of an ETag header; undefined if the tag contains characters that a header cannot carry. */
export function quoteTag(tag: string): string | undefined {
  return OPAQUE.test(tag) ? `"${tag}"` : undefined
}

/**
 * Parses If-Match. Weak tags are dropped: its strong comparison never matches them (section 8.8.3.2).
 * @returns the tags without quotes, or `*` alone. If all tags are weak: one empty tag, which matches no resource.
 * @throws StatusError INVALID_ARGUMENT with a violation of `If-Match`.
 */
export function parseIfMatch(header: string): string[] {
  if (header.trim() === '*') return ['*']
  const tags = parseTags(header)
  if (tags === undefined) {
    throw invalidArgument([{ field: 'If-Match', description: 'must be * or a list of entity tags in quotes' }])
  }
  const strong = tags.filter(({ isWeak }) => !isWeak).map(({ tag }) => tag)
  // An empty list would mean that the request has no condition.
  return strong.length > 0 ? strong : ['']
}

/** Whether an If-None-Match header contains the tag, by weak comparison. A malformed header contains no tag. */
export function hasTag(header: string, tag: string): boolean {
  return header.trim() === '*' || (parseTags(header)?.some(listed => listed.tag === tag) ?? false)
}

function parseTags(header: string): { tag: string; isWeak: boolean }[] | undefined {
  const tags: { tag: string; isWeak: boolean }[] = []
  let rest = header
  while (rest.trim() !== '') {
    const match = TAG.exec(rest)
    if (match === null) return undefined
    tags.push({ tag: match[2] ?? '', isWeak: match[1] !== undefined })
    rest = rest.slice(match[0].length)
  }
  return tags.length === 0 ? undefined : tags
}
