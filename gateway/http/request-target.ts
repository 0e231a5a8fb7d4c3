import type { IncomingMessage } from 'node:http'

/**
 * Splits the request target of RFC 9112 section 3.2 into path and query, both still percent-encoded.
 * @returns the path, and the query without `?` (empty if there is none). The authority of an absolute-form target and a
 *   fragment are dropped.
 */
export function splitTarget({ url = '/' }: IncomingMessage): { path: string; query: string } {
  const target = url.startsWith('/') ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  const [beforeFragment = ''] = target.split('#', 1)
  const mark = beforeFragment.indexOf('?')
  return mark === -1
    ? { path: beforeFragment, query: '' }
    : { path: beforeFragment.slice(0, mark), query: beforeFragment.slice(mark + 1) }
}
