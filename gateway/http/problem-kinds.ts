/**
 * The problems that a method of any service can answer with, by `code`, for the OpenAPI document. docs/errors.md has the
 * same texts.
 */

export interface ProblemKind {
  readonly status: number
  /** When the error occurs. Markdown. */
  readonly meaning: string
  /** What the client can do; empty if nothing. Markdown. */
  readonly cure: string
}

/** Those that the gateway reports itself. */
export const GATEWAY_PROBLEMS = {
  route_not_found: {
    status: 404,
    meaning: 'No route matches the path',
    cure: 'Look up the path in `/docs`; a path with an empty segment (`//`) never matches',
  },
  method_not_allowed: {
    status: 405,
    meaning: 'The path exists, but not with this HTTP method',
    cure: 'Use a method from the `Allow` header',
  },
  method_not_implemented: {
    status: 501,
    meaning: '`CONNECT`, or a method that the HTTP parser does not know; the connection is closed',
    cure: 'Use a method that `/docs` lists; methods are case-sensitive',
  },
  bad_url: {
    status: 400,
    meaning: 'The path is not percent-encoded UTF-8',
    cure: 'Encode each path segment once, as UTF-8',
  },
  bad_request: {
    status: 400,
    meaning: 'Malformed HTTP request; `detail` has the reason',
    cure: 'Check `Host`, `Content-Length` and `Transfer-Encoding`',
  },
  url_too_long: {
    status: 414,
    meaning: 'The URL is longer than 8,192 characters',
    cure: 'Send a shorter URL',
  },
  request_timeout: {
    status: 408,
    meaning: 'The request was not received completely within 30 s',
    cure: 'Retry',
  },
  headers_too_large: {
    status: 431,
    meaning: "The request line and headers exceed 16 KiB, or the upstream's limit",
    cure: 'Send smaller headers',
  },
  http_version_not_supported: {
    status: 505,
    meaning: 'The request line names a version above HTTP/1.1',
    cure: 'Send HTTP/1.1',
  },
  transfer_coding_not_supported: {
    status: 501,
    meaning: 'Transfer-Encoding names a coding other than `chunked`',
    cure: 'Send the body without that coding',
  },
  unsupported_media_type: {
    status: 415,
    meaning:
      'The body is not `application/json`, or has a Content-Encoding; for a raw body, Content-Type is not a media type',
    cure: 'Send `Content-Type: application/json`, or the media type of a raw body, without Content-Encoding',
  },
  expectation_failed: {
    status: 417,
    meaning: 'Expect has a value other than `100-continue`',
    cure: 'Send the request without Expect',
  },
  body_too_large: {
    status: 413,
    meaning: 'The body exceeds `BODY_LIMIT`',
    cure: 'Send a smaller body',
  },
  rate_limited: {
    status: 429,
    meaning:
      'A quota in `RateLimit-Policy` is used up: of a class, or `sign-in` (failed sign-ins of the client address)',
    cure: 'Retry after `Retry-After` seconds',
  },
  too_many_streams: {
    status: 429,
    meaning: 'The caller has `STREAMS_PER_CALLER` (4) streams open',
    cure: 'Close a stream, or read it to its end',
  },
  cross_site_request: {
    status: 403,
    meaning: 'A request authenticated by cookie does not prove its origin',
    cure: 'Send `Sec-Fetch-Site: same-origin` or an `Origin` listed in `CORS_ORIGINS`, and `Content-Type: application/json`',
  },
  unauthenticated: {
    status: 401,
    meaning: 'The method requires an access token',
    cure: 'Sign in and send `Authorization: Bearer`',
  },
  token_invalid: {
    status: 401,
    meaning: 'The access token is malformed, or its signature or claims are invalid',
    cure: 'Sign in again',
  },
  token_expired: {
    status: 401,
    meaning: 'The access token has expired',
    cure: 'Refresh it',
  },
  token_revoked: {
    status: 401,
    meaning: "The session ended, the user's role changed, or the user was deactivated or erased",
    cure: 'Refresh; if that fails, sign in again',
  },
  contract_unavailable: {
    status: 503,
    meaning: 'No route matches the path, and the gateway has not read the contract of a service yet',
    cure: 'Retry after `Retry-After`',
  },
  keys_unavailable: {
    status: 503,
    meaning: 'The gateway cannot fetch the keys that verify tokens',
    cure: 'Retry after `Retry-After`',
  },
  revocations_unknown: {
    status: 503,
    meaning: 'The gateway cannot verify whether tokens were revoked',
    cure: 'Retry after `Retry-After`',
  },
  internal: {
    status: 500,
    meaning: 'Internal error',
    cure: 'Report the `trace_id`',
  },
} as const satisfies Record<string, ProblemKind>

/** Those that a service reports, or the gateway for it. */
export const SERVICE_PROBLEMS = {
  invalid_argument: {
    status: 400,
    meaning: 'The request is invalid; `errors` names the fields and reasons',
    cure: 'Correct the fields',
  },
  permission_denied: {
    status: 403,
    meaning: 'The caller is authenticated but not allowed to do this',
    cure: 'Request the role or grant',
  },
  not_found: {
    status: 404,
    meaning: 'The resource does not exist, or the caller may not see it',
    cure: '',
  },
  upstream_overloaded: {
    status: 503,
    meaning: 'Too many calls of the upstream are in progress or waiting; the call was not sent',
    cure: 'Retry after `Retry-After`',
  },
  unavailable: {
    status: 503,
    meaning: 'A service or store is unavailable; the call may have taken effect',
    cure: 'Retry after `Retry-After`. Check the result before repeating a call that is not idempotent',
  },
  database_busy: {
    status: 503,
    meaning: 'All database connections are in use',
    cure: 'Retry after `Retry-After`',
  },
  deadline_exceeded: {
    status: 504,
    meaning: 'The call timed out; it may have taken effect',
    cure: 'Check the result before repeating a call that is not idempotent',
  },
  aborted: {
    status: 409,
    meaning: 'A concurrent change conflicted; nothing was changed',
    cure: 'Retry',
  },
  cancelled: {
    status: 499,
    meaning: 'The client disconnected before the response',
    cure: '',
  },
  unimplemented: {
    status: 501,
    meaning: 'The upstream does not implement the method',
    cure: '',
  },
  upstream_answer_too_large: {
    status: 502,
    meaning: "The upstream's response exceeds `maxMessageLength`, or its JSON would exceed 64 Mi characters",
    cure: 'Request less at a time',
  },
} as const satisfies Record<string, ProblemKind>
