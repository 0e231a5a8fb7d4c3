/**
 * Every error that a client sees: an `application/problem+json` document (RFC 9457). Here, and only here, gRPC status and
 * HTTP status meet.
 */
import type { FastifyError } from 'fastify'
import { Code, StatusError, type Violation } from '#runtime/status.ts'

export interface Problem {
  /** The meaning is in `code`; a URI to each would say no more. */
  type: 'about:blank'
  title: string
  status: number
  detail: string
  instance: string
  /** Stable, for programs. docs/errors.md has them all. */
  code: string
  trace_id: string
  errors?: readonly Violation[]
}

/** gRPC -> HTTP as google/rpc/code.proto has it. */
const HTTP_STATUS: Record<Code, number> = {
  [Code.OK]: 200,
  [Code.CANCELLED]: 499,
  [Code.UNKNOWN]: 500,
  [Code.INVALID_ARGUMENT]: 400,
  [Code.DEADLINE_EXCEEDED]: 504,
  [Code.NOT_FOUND]: 404,
  [Code.ALREADY_EXISTS]: 409,
  [Code.PERMISSION_DENIED]: 403,
  [Code.RESOURCE_EXHAUSTED]: 429,
  [Code.FAILED_PRECONDITION]: 400,
  [Code.ABORTED]: 409,
  [Code.OUT_OF_RANGE]: 400,
  [Code.UNIMPLEMENTED]: 501,
  [Code.INTERNAL]: 500,
  [Code.UNAVAILABLE]: 503,
  [Code.DATA_LOSS]: 500,
  [Code.UNAUTHENTICATED]: 401,
}

/** What an upstream says when a condition of the client's did not hold. */
const FAILED_CONDITIONS: readonly Code[] = [Code.FAILED_PRECONDITION, Code.ABORTED]

/** Where the gateway's own reason, rather than the code, says what happened. */
const STATUS_OF_REASON: ReadonlyMap<string | undefined, number> = new Map([
  ['upstream_answer_too_large', 502],
  ['headers_too_large', 431],
])

const TITLES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  499: 'Client Closed Request',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

/** The gateway's own refusals of a request as HTTP, before any RPC is meant. */
export const HTTP_PROBLEMS = {
  route_not_found: { status: 404, detail: 'Nothing is served under this path' },
  method_not_allowed: { status: 405, detail: 'The path is served, but not with this method; see Allow' },
  bad_url: { status: 400, detail: 'The path is not percent-encoded UTF-8' },
  bad_request: { status: 400, detail: 'The request is not as HTTP wants it' },
  request_timeout: { status: 408, detail: 'The request did not arrive whole in time' },
  headers_too_large: { status: 431, detail: 'The request line and headers are longer than this server takes' },
  unsupported_media_type: { status: 415, detail: 'The body must be application/json, without Content-Encoding' },
  body_too_large: { status: 413, detail: 'The body is longer than this server takes' },
  rate_limited: { status: 429, detail: 'More requests than are allowed; come again after `Retry-After` seconds' },
  cross_site_request: {
    status: 403,
    detail:
      'A call by cookie must come from our own pages: send `Sec-Fetch-Site: same-origin` or an `Origin` that is allowed, and `Content-Type: application/json`',
  },
} as const

export type HttpProblemCode = keyof typeof HTTP_PROBLEMS

export class HttpProblem extends Error {
  override name = 'HttpProblem'
  readonly code: HttpProblemCode
  readonly headers: Readonly<Record<string, string>>

  constructor(code: HttpProblemCode, headers: Record<string, string> = {}) {
    super(HTTP_PROBLEMS[code].detail)
    this.code = code
    this.headers = headers
  }
}

/** Fastify's refusals that are the client's fault, in our terms. */
const FASTIFY_CODES: Record<string, HttpProblemCode> = {
  FST_ERR_BAD_URL: 'bad_url',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad_request',
  FST_ERR_ASYNC_CONSTRAINT: 'bad_request',
}

export interface ProblemAnswer {
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>
  /** The error is ours, not the client's: it goes to the log, and nothing of it to the client. */
  readonly isInternal: boolean
}

/** @param request `isConditional` when it had an If-Match: what then came in between is that the condition failed. */
export function toProblem(
  error: unknown,
  request: { path: string; traceId: string; isConditional?: boolean },
): ProblemAnswer {
  const { status, code, detail, violations, headers, isInternal } = describe(error, request.isConditional ?? false)
  const problem: Problem = {
    type: 'about:blank',
    title: TITLES[status] ?? 'Error',
    status,
    detail,
    instance: request.path,
    code,
    trace_id: request.traceId,
    ...(violations.length > 0 && { errors: violations }),
  }
  return { problem, headers, isInternal }
}

interface Description {
  status: number
  code: string
  detail: string
  violations: readonly Violation[]
  headers: Record<string, string>
  isInternal: boolean
}

function describe(error: unknown, isConditional: boolean): Description {
  if (error instanceof StatusError) return describeStatus(error, isConditional)
  const own = error instanceof HttpProblem ? error : fromFastify(error)
  if (own !== undefined) {
    const { status, detail } = HTTP_PROBLEMS[own.code]
    return { status, code: own.code, detail, violations: [], headers: own.headers, isInternal: false }
  }
  return { ...INTERNAL, isInternal: true }
}

const INTERNAL = {
  status: 500,
  code: 'internal',
  detail: 'Something went wrong on our side; the trace id helps us find it',
  violations: [],
  headers: {},
}

function describeStatus(error: StatusError, isConditional: boolean): Description {
  const isFailedCondition = isConditional && FAILED_CONDITIONS.includes(error.code)
  const status = isFailedCondition ? 412 : (STATUS_OF_REASON.get(error.reason) ?? HTTP_STATUS[error.code] ?? 500)
  // What an upstream says of a fault of its own may name hosts, tables or code.
  if (status === 500) return { ...INTERNAL, isInternal: true }
  const headers: Record<string, string> = {}
  if (error.retryAfterMs !== undefined)
    headers['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1000)))
  else if (status === 503) headers['retry-after'] = '1'
  if (status === 401) headers['www-authenticate'] = challenge(error)
  // A reason is ours; without one the message came from a client library and may carry an address.
  const detail = error.reason === undefined ? (TITLES[status] ?? '') : error.message
  return {
    status,
    code: error.reason ?? defaultCode(error.code),
    detail,
    violations: error.violations,
    headers,
    isInternal: false,
  }
}

/** RFC 6750 section 3: without a token no error code. */
function challenge(error: StatusError): string {
  const isToken = error.reason?.startsWith('token_') ?? false
  if (!isToken) return 'Bearer'
  // RFC 6750 section 3: printable ASCII without the quotation mark and the backslash.
  const description = error.message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?')
  return `Bearer error="invalid_token", error_description="${description}"`
}

function defaultCode(code: Code): string {
  return (Code[code] ?? 'UNKNOWN').toLowerCase()
}

function fromFastify(error: unknown): HttpProblem | undefined {
  const { code, statusCode } = (error ?? {}) as Partial<FastifyError>
  const known = code === undefined ? undefined : FASTIFY_CODES[code]
  if (known !== undefined) return new HttpProblem(known)
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500 ? new HttpProblem('bad_request') : undefined
}
