import type { IncomingMessage } from 'node:http'

/**
 * Splits a request target (RFC 9112 section 3.2) into path and query without `?`, both still percent-encoded. Drops the
 * authority of an absolute-form target and a fragment.
 */
export function splitTarget({ url = '/' }: IncomingMessage): { path: string; query: string } {
  const target = url.startsWith('/') ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  const [beforeFragment = ''] = target.split('#', 1)
  const mark = beforeFragment.indexOf('?')
  return mark === -1
    ? { path: beforeFragment, query: '' }
    : { path: beforeFragment.slice(0, mark), query: beforeFragment.slice(mark + 1) }
}
