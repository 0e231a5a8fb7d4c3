/** Builds the problem document (RFC 9457, `application/problem+json`) for any error that a request ends with. */
import type { JsonObject } from '@bufbuild/protobuf'
import { Code, StatusError, type Violation } from '#runtime/status.ts'
import { clientText } from './client-text.ts'
import { ForwardedError } from './forwarded-error.ts'
import { fromFastifyError, HTTP_ERRORS, HttpError } from './http-errors.ts'
import { httpStatusOf, reasonPhraseOf } from './http-status.ts'
import { proxyStatusOf } from './proxy-status.ts'

/** The members `code`, `trace_id`, `errors` and `details` are extensions of RFC 9457. */
export interface Problem {
  /** Always `about:blank`: `code` identifies the problem type. */
  type: 'about:blank'
  /** The reason phrase of the HTTP status. */
  title: string
  status: number
  /** A sentence for people. It may change between versions. */
  detail: string
  /** The path of the request, without the query. */
  instance: string
  /** Stable, for programs. docs/errors.md documents each code. */
  code: string
  /** Identifies the request in logs and traces: 32 hexadecimal digits. */
  trace_id: string
  /** Absent if the error concerns no field of the request. */
  errors?: readonly Violation[]
  /** Status details of the upstream as ProtoJSON of google.protobuf.Any. Absent if there are none. */
  details?: readonly JsonObject[]
}

/**
 * The headers of every response with a problem document. It is about one request (`trace_id`), and a cache may store a 404
 * or 405 without being told to (RFC 9111 section 4.2.2).
 */
export const PROBLEM_HEADERS = {
  'content-type': 'application/problem+json; charset=utf-8',
  'cache-control': 'no-store',
} as const

export interface ProblemResponse {
  readonly problem: Problem
  /** Headers that the error requires, such as Retry-After, WWW-Authenticate or Proxy-Status. */
  readonly headers: Readonly<Record<string, string>>
  /** Whether the error is a fault of the gateway or of an upstream (500). Log it: the document does not describe it. */
  readonly isInternal: boolean
}

/** The facts of a request that its problem document depends on. */
export interface FailedRequest {
  readonly path: string
  readonly traceId: string
  /** Whether the request has an If-Match header. A failed condition is then reported as 412. Default false. */
  readonly isConditional?: boolean
}

/** Converts any thrown value. A value of unknown type and a status of 500 become `internal`, without their message. */
export function toProblem(error: unknown, request: FailedRequest): ProblemResponse {
  const {
    status,
    code,
    detail,
    violations,
    details = [],
    headers,
    isInternal,
  } = describe(error, request.isConditional ?? false)
  const problem: Problem = {
    type: 'about:blank',
    title: reasonPhraseOf(status) ?? 'Error',
    status,
    detail,
    instance: request.path,
    code,
    trace_id: request.traceId,
    ...(violations.length > 0 && { errors: violations }),
    ...(details.length > 0 && { details }),
  }
  const proxyStatus = proxyStatusOf(error, status)
  return {
    problem,
    headers: proxyStatus === undefined ? headers : { ...headers, 'proxy-status': proxyStatus },
    isInternal,
  }
}

interface Description {
  status: number
  code: string
  detail: string
  violations: readonly Violation[]
  details?: readonly JsonObject[]
  headers: Readonly<Record<string, string>>
  isInternal: boolean
}

const INTERNAL: Description = {
  status: 500,
  code: 'internal',
  detail: 'Internal error. Report the trace_id to the operator of the API.',
  violations: [],
  headers: {},
  isInternal: true,
}

function describe(error: unknown, isConditional: boolean): Description {
  if (error instanceof StatusError) return describeStatus(error, isConditional)
  const httpError = error instanceof HttpError ? error : fromFastifyError(error)
  if (httpError === undefined) return INTERNAL
  const { code, message, headers } = httpError
  return { status: HTTP_ERRORS[code].status, code, detail: message, violations: [], headers, isInternal: false }
}

function describeStatus(error: StatusError, isConditional: boolean): Description {
  const status = httpStatusOf(error, isConditional)
  // The message of an internal error may contain host names, table names or source code. It is not sent to the client.
  if (status === 500) return INTERNAL
  const isForwarded = error instanceof ForwardedError
  // Without a reason, the message of any other error is that of a client library, which may name an upstream's address.
  const text = isForwarded ? error.detail : error.reason === undefined ? undefined : clientText(error.message)
  return {
    status,
    code: error.reason ?? (Code[error.code] ?? 'UNKNOWN').toLowerCase(),
    detail: text ?? reasonPhraseOf(status) ?? '',
    violations: error.violations,
    ...(isForwarded && { details: error.details }),
    headers: headersFor(error, status),
    isInternal: false,
  }
}

/** One day. An upstream may send any duration. */
const MAX_RETRY_AFTER_S = 86_400

function headersFor(error: StatusError, status: number): Record<string, string> {
  const headers: Record<string, string> = {}
  if (error.retryAfterMs !== undefined) {
    headers['retry-after'] = String(Math.min(MAX_RETRY_AFTER_S, Math.max(1, Math.ceil(error.retryAfterMs / 1000))))
  } else if (status === 503) {
    headers['retry-after'] = '1'
  }
  if (status === 401) headers['www-authenticate'] = challengeFor(error)
  return headers
}

/** Returns the Bearer challenge of RFC 6750 section 3. A request without a token gets no error code. */
function challengeFor(error: StatusError): string {
  if (!error.reason?.startsWith('token_')) return 'Bearer'
  // error_description allows printable ASCII except the quotation mark and the backslash.
  const description = error.message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?')
  return `Bearer error="invalid_token", error_description="${description}"`
}
