import type { FastifyRequest } from 'fastify'
import { HttpError } from '../http/http-errors.ts'

/**
 * Refuses a call by cookie that another site may have caused (CSRF). A browser says where a request comes from in
 * `Sec-Fetch-Site`, an older one in `Origin`; neither can be forged by a page. application/json keeps forms out.
 * @param origins that may call with credentials, our own included.
 */
export function assertSameSite(request: FastifyRequest, origins: ReadonlySet<string>): void {
  const { 'sec-fetch-site': site, origin, 'content-type': type = '' } = request.headers
  const isOurs = site === 'same-origin' || site === 'none' || (origin !== undefined && origins.has(origin))
  if (!isOurs || !/^application\/json\s*(;|$)/i.test(type)) throw new HttpError('cross_site_request')
}
