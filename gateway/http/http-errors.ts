/** The errors that the gateway itself reports about an HTTP request, before it calls an upstream. */
import type { FastifyError } from 'fastify'

/** Error code -> HTTP status and detail. docs/errors.md documents each code. */
export const HTTP_ERRORS = {
  route_not_found: { status: 404, detail: 'No route matches the path.' },
  method_not_allowed: {
    status: 405,
    detail: 'The path does not support this method. The Allow header lists the supported methods.',
  },
  method_not_implemented: { status: 501, detail: 'The gateway does not implement this HTTP method.' },
  bad_url: { status: 400, detail: 'The path is not valid percent-encoded UTF-8.' },
  bad_request: { status: 400, detail: 'Malformed HTTP request.' },
  url_too_long: { status: 414, detail: 'The URL is longer than 8,192 characters. Send a shorter URL.' },
  request_timeout: { status: 408, detail: 'The request was not received completely within 30 s. Send it again.' },
  headers_too_large: {
    status: 431,
    detail: 'The request line and the headers are longer than 16 KiB. Send fewer or shorter headers.',
  },
  http_version_not_supported: { status: 505, detail: 'The gateway supports HTTP/1.1 and HTTP/1.0.' },
  transfer_coding_not_supported: {
    status: 501,
    detail: 'The only supported Transfer-Encoding is `chunked`. Send the body without another transfer coding.',
  },
  expectation_failed: { status: 417, detail: 'The only supported value of Expect is `100-continue`.' },
  unsupported_media_type: {
    status: 415,
    detail: 'The body must be `application/json` without Content-Encoding.',
  },
  body_too_large: {
    status: 413,
    detail: 'The body is longer than the limit of the gateway (BODY_LIMIT). Send a smaller body.',
  },
  rate_limited: {
    status: 429,
    detail: 'Too many requests. Retry after the number of seconds in the Retry-After header.',
  },
  contract_unavailable: {
    status: 503,
    detail:
      'No route matches the path yet: the gateway has not read the contract of a service. Retry after the number of seconds in the Retry-After header.',
  },
  too_many_streams: { status: 429, detail: 'Too many open streams. Close one, or read it to its end.' },
  cross_site_request: {
    status: 403,
    detail:
      'A request with cookies must come from an allowed origin: send `Sec-Fetch-Site: same-origin` or an allowed `Origin`, and `Content-Type: application/json`.',
  },
} as const

export type HttpErrorCode = keyof typeof HTTP_ERRORS

export interface HttpErrorOptions {
  /** Headers of the error response, such as `allow`. Default: none. */
  readonly headers?: Readonly<Record<string, string>>
  /** Becomes the message of the error. Default: the detail in HTTP_ERRORS. */
  readonly detail?: string
}

/** An HTTP request that the gateway rejects. The error handler sends it as a problem document. */
export class HttpError extends Error {
  override name = 'HttpError'
  readonly code: HttpErrorCode
  readonly headers: Readonly<Record<string, string>>

  constructor(code: HttpErrorCode, { headers = {}, detail = HTTP_ERRORS[code].detail }: HttpErrorOptions = {}) {
    super(detail)
    this.code = code
    this.headers = headers
  }
}

interface Mapping {
  readonly code: HttpErrorCode
  readonly detail?: string
}

const BY_FASTIFY_CODE: Record<string, Mapping> = {
  FST_ERR_BAD_URL: { code: 'bad_url' },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'url_too_long' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: 'unsupported_media_type' },
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'body_too_large' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'bad_request',
    detail: 'The length of the body differs from Content-Length.',
  },
  FST_ERR_ASYNC_CONSTRAINT: { code: 'bad_request' },
}

/** Converts an error of Fastify with a 4xx status. Returns undefined for any other value: it is an internal error. */
export function fromFastifyError(error: unknown): HttpError | undefined {
  const { code, statusCode } = (error ?? {}) as Partial<FastifyError>
  const mapping = code === undefined ? undefined : BY_FASTIFY_CODE[code]
  if (mapping !== undefined) return new HttpError(mapping.code, mapping)
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500 ? new HttpError('bad_request') : undefined
}
