/** Entity tags as HTTP writes them (RFC 9110 sections 8.8.3 and 13.1), and as a message has them: without the quotes. */
import { invalidArgument } from '#runtime/status.ts'

// etagc: anything visible but the quotation mark.
const OPAQUE = /^[\x21\x23-\x7e\x80-\xff]*$/
const TAG = /^\s*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)/

/** @returns undefined for what cannot stand in a header. */
export function quoteTag(tag: string): string | undefined {
  return OPAQUE.test(tag) ? `"${tag}"` : undefined
}

/**
 * The tags of If-Match, or `*` alone. A weak one is left out, for it never is the same as another (section 8.8.3.2).
 * @throws StatusError INVALID_ARGUMENT on `If-Match`.
 */
export function parseIfMatch(header: string): string[] {
  if (header.trim() === '*') return ['*']
  const tags = parseTags(header)
  if (tags === undefined) {
    throw invalidArgument([{ field: 'If-Match', description: 'is neither * nor a list of tags in quotes' }])
  }
  const strong = tags.filter(({ isWeak }) => !isWeak).map(({ tag }) => tag)
  // None that could match is not the same as no condition.
  return strong.length > 0 ? strong : ['']
}

/** Whether If-None-Match has the tag, by weak comparison; what cannot be read has none. */
export function hasTag(header: string, tag: string): boolean {
  return header.trim() === '*' || (parseTags(header)?.some(given => given.tag === tag) ?? false)
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
