import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { HttpError } from './http-errors.ts'

/**
 * Maximum length of a request target in characters. RFC 9110 section 4.1 recommends at least 8,000. The detail of
 * `url_too_long` (414) names it.
 */
const MAX_URL_LENGTH = 8192

/** Rejects requests with a longer URL, whether a route matches it or not. */
export function registerUrlLimit(app: FastifyInstance): void {
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    if ((raw.url as string).length > MAX_URL_LENGTH) done(new HttpError('url_too_long'))
    else done()
  })
}

/**
 * Splits a request target (RFC 9112 section 3.2) into path and query without `?`, both still percent-encoded. Drops the
 * authority of an absolute-form target and a fragment.
 */
export function splitTarget({ url = '/' }: Pick<IncomingMessage, 'url'>): { path: string; query: string } {
  const target = url.startsWith('/') ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  const [beforeFragment = ''] = target.split('#', 1)
  const mark = beforeFragment.indexOf('?')
  return mark === -1
    ? { path: beforeFragment, query: '' }
    : { path: beforeFragment.slice(0, mark), query: beforeFragment.slice(mark + 1) }
}
